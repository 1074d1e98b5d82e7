"""From a tool's payload to what the store accepts."""

from collections.abc import Mapping
from typing import Any

from api.body import Doubts, check_event
from api.fields import LONGEST_NAME
from api.hooks.definition import Hook
from api.hooks.mapping import Delivery, Mapped
from api.identify import LONGEST_ADDRESS
from api.intake import Rejection
from api.recipients import no_message
from api.segment import Post, SegmentReader
from domain.errors import Refused
from domain.events import message_named
from infra.database.accept import Incoming
from infra.database.addresses import Known, known_by_email, known_by_message, normal
from infra.database.pool import Pool

_ANY = Doubts(any=True)


class HookReader:
    """Reads payloads by their hooks' files.

    Args:
        reader: reads what they become.
        pool: where customers are looked up by their e-mail addresses and by our messages.
    """

    def __init__(self, reader: SegmentReader, pool: Pool) -> None:
        self._reader = reader
        self._pool = pool

    async def read(self, hook: Hook, delivery: Delivery, post: Post) -> list[Incoming | Rejection]:
        """Read a payload: an event, several, or none.

        Raises:
            Refused: the payload as a whole cannot be read.
            Unavailable: the database does not answer.
        """
        mapped = hook.mapper.events(delivery)
        nameless = [one for one in mapped if isinstance(one, Mapped) and not _has_name(one)]
        sent = {message for one in nameless if (message := _message(one)) is not None}
        by_message = await known_by_message(self._pool, sent)
        by_email = await known_by_email(self._pool, {one.email for one in nameless if one.email})
        return [
            self._one(hook, event, delivery.body, by_message, by_email, post) for event in mapped
        ]

    def _one(
        self,
        hook: Hook,
        event: Mapped | Refused,
        body: bytes,
        by_message: Mapping[str, Known],
        by_email: Mapping[str, Known],
        post: Post,
    ) -> Incoming | Rejection:
        if isinstance(event, Refused):
            return Rejection(event, body)
        item: dict[str, object] = {
            "messageId": event.message_id,
            "event": event.name,
            "userId": event.user_id,
            "anonymousId": event.anonymous_id,
            "timestamp": event.time,
            "properties": event.properties,
            "context": {"webhook": {"hook": hook.name}},
        }
        try:
            effects: dict[str, Any] = {}
            if not _has_name(event):
                effects = _meet(item, event, by_message, by_email)
            check_event(item, _ANY)
            incoming = self._reader.read("track", item, post)
        except Refused as error:
            return Rejection(error, body, event.message_id)
        return incoming._replace(effects={**(incoming.effects or {}), **effects} or None)


def _has_name(event: Mapped) -> bool:
    return event.user_id is not None or event.anonymous_id is not None


def _message(event: Mapped) -> str | None:
    """The message of ours whose customer is meant; None where it names none of ours."""
    return None if event.message is None else message_named(event.message)


def _meet(
    item: dict[str, object],
    event: Mapped,
    by_message: Mapping[str, Known],
    by_email: Mapping[str, Known],
) -> dict[str, dict[str, str]]:
    """Put the customer who got a message, or is at an e-mail address, into a call.

    Where nobody is reachable there, she is somebody new, who is reachable there from now on.

    Returns:
        What is to be told of her.
    """
    if (message := _message(event)) is not None:
        if message not in by_message:
            raise Refused(no_message(message), field="customer.message")
        _put(item, by_message[message])
        return {}
    if event.email is None:
        raise Refused("customer.message names no message of ours", field="customer.message")
    email = event.email
    if len(email.encode()) > LONGEST_ADDRESS or "\0" in email:
        raise Refused("customer.email is no e-mail address", field="customer.email")
    known = by_email.get(normal(email))
    if known is not None:
        _put(item, known)
        return {}
    name = f"email:{normal(email)}"
    if len(name) > LONGEST_NAME:
        raise Refused("customer.email is too long", field="customer.email")
    item["anonymousId"] = name
    return {"traits": {"email": email}, "addresses": {"email": email}}


def _put(item: dict[str, object], known: Known) -> None:
    item["userId" if known.kind == "user_id" else "anonymousId"] = known.value
