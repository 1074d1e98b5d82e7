"""From a tool's payload to what the store accepts."""

from collections.abc import Mapping
from typing import Any

from api.body import Doubts, check_event
from api.fields import LONGEST_NAME
from api.hooks.definition import Hook
from api.hooks.mapping import Delivery, Mapped
from api.identify import LONGEST_ADDRESS
from api.intake import Rejection
from api.segment import Post, SegmentReader
from domain.errors import Refused
from infra.database.accept import Incoming
from infra.database.addresses import Known, known_by_email, normal
from infra.database.pool import Pool

_ANY = Doubts(any=True)


class HookReader:
    """Reads payloads by their hooks' files.

    Args:
        reader: reads what they become.
        pool: where customers are looked up by their e-mail addresses.
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
        by_email = await known_by_email(
            self._pool,
            {
                event.email
                for event in mapped
                if isinstance(event, Mapped) and event.email and not _has_name(event)
            },
        )
        return [self._one(hook, event, delivery.body, by_email, post) for event in mapped]

    def _one(
        self,
        hook: Hook,
        event: Mapped | Refused,
        body: bytes,
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
            if event.email and not _has_name(event):
                effects = _meet(item, event.email, by_email)
            check_event(item, _ANY)
            incoming = self._reader.read("track", item, post)
        except Refused as error:
            return Rejection(error, body, event.message_id)
        return incoming._replace(effects={**(incoming.effects or {}), **effects} or None)


def _has_name(event: Mapped) -> bool:
    return event.user_id is not None or event.anonymous_id is not None


def _meet(
    item: dict[str, object], email: str, by_email: Mapping[str, Known]
) -> dict[str, dict[str, str]]:
    """Put the customer at an e-mail address into a call, and say what is to be told of her.

    Where nobody is reachable there, she is somebody new, who is reachable there from now on.
    """
    if len(email.encode()) > LONGEST_ADDRESS or "\0" in email:
        raise Refused("customer.email is no e-mail address", field="customer.email")
    known = by_email.get(normal(email))
    if known is not None:
        item["userId" if known.kind == "user_id" else "anonymousId"] = known.value
        return {}
    name = f"email:{normal(email)}"
    if len(name) > LONGEST_NAME:
        raise Refused("customer.email is too long", field="customer.email")
    item["anonymousId"] = name
    return {"traits": {"email": email}, "addresses": {"email": email}}
