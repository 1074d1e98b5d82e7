"""Events that name one of our messages and nobody else: whom it went to, the ledger knows."""

from domain.errors import Refused
from infra.database.accept import Incoming
from infra.database.addresses import Known


class NamesMessage(Refused):
    """A call that names one of our messages, and neither a user nor a device.

    It is refused, unless somebody asks the ledger. The customer to whom a name belongs is the
    message's when the call is accepted, too: a merge moves names and messages together.

    Args:
        message_id: the message.
        incoming: the call as it was read, but for whom it is about.
        field: what names the message.
    """

    def __init__(self, message_id: str, incoming: Incoming, field: str) -> None:
        super().__init__(no_message(message_id), field=field)
        self.message_id = message_id
        self.incoming = incoming

    def about(self, known: Known) -> Incoming:
        """The call, about a customer."""
        if known.kind == "user_id":
            return self.incoming._replace(user_id=known.value)
        return self.incoming._replace(anonymous_id=known.value)


def no_message(message_id: str) -> str:
    """What is said where the ledger does not know a message."""
    return f"there is no message {message_id}, and the event names nobody else"
