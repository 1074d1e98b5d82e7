"""Segment's and RudderStack's tracking API: from its wire format to what the store accepts.

Source: Segment, "HTTP Tracking API" and "Spec: Common Fields"; RudderStack, "HTTP API" and
"Common Fields"; what their libraries post.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from api.body import Doubts, check_event
from api.fields import check_length, id_of, object_of, text_of, time_of
from api.identify import read_identify
from api.recipients import NamesMessage
from domain.audiences import Audiences
from domain.customers import names_nobody
from domain.errors import Refused
from domain.events import Occurrence, event_type, report_of
from infra.database.accept import Incoming, entry_effect, report_effect
from infra.database.audiences import effects_of
from journeys.catalog import Catalog

KINDS = ("track", "identify", "page", "screen", "group", "alias")
"""The calls there are."""

_RECORDED = frozenset({"page", "screen", "group"})


@dataclass(frozen=True, slots=True)
class Post:
    """The circumstances of one request.

    Attributes:
        source_id: whose key it came with.
        received_at: when.
        sent_at: when the client says it sent it, or None.
        context: what the batch says for all of its items, its `integrations` among it.
        context_json: the same as JSON text, made once.
    """

    source_id: int
    received_at: datetime
    sent_at: datetime | None = None
    context: Mapping[str, Any] | None = None
    context_json: str | None = None


class SegmentReader:
    """Reads tracking calls. Knows which events are declared and which journeys they start."""

    def __init__(self, catalog: Catalog, audiences: Audiences | None = None) -> None:
        self._catalog = catalog
        self._audiences = audiences or Audiences()

    def read(self, kind: str | None, item: Any, post: Post) -> Incoming:
        """Read one call.

        Args:
            kind: `track`, `identify`, …; None: the item's own `type` says it.
            item: the decoded call.
            post: the circumstances.

        Raises:
            Refused: it cannot be taken; the reason names the field.
        """
        if not isinstance(item, dict):
            raise Refused("the event must be a JSON object")
        kind = kind or text_of(item, "type", required=True)
        user_id, anonymous_id = _identities(item)
        unnamed = user_id is None and anonymous_id is None
        if unnamed and kind != "track":
            raise _nobody()
        message_id = id_of(item, "messageId") or f"sojourn-{uuid.uuid4()}"
        occurred_at = self._occurred_at(item, post)
        if kind == "track":
            name, content, effects = self._track(item, message_id, occurred_at, post.received_at)
        elif kind == "identify":
            name, content, effects = read_identify(item, post.context)
            if self._audiences.concerned(content):
                effects["computed"] = []
        elif kind in _RECORDED:
            # A fact like others; no journey listens to it.
            name, content, effects = text_of(item, "name") or kind, _recorded(item), None
        elif kind == "alias":
            name, content, effects = _alias(item, user_id)
        else:
            raise Refused(f"type {kind[:40]!r} is not one of {', '.join(KINDS)}", field="type")
        incoming = Incoming(
            post.source_id,
            message_id,
            user_id,
            anonymous_id,
            kind,
            name,
            occurred_at,
            post.received_at,
            _dumps(content),
            _context(item, post),
            effects,
        )
        if unnamed:
            raise _unnamed(incoming)
        return incoming

    def _track(
        self, item: Mapping[str, Any], message_id: str, occurred_at: datetime, received_at: datetime
    ) -> tuple[str, Mapping[str, Any], dict[str, Any] | None]:
        name = text_of(item, "event", required=True)
        properties = object_of(item, "properties") or {}
        declared = event_type(name)
        if declared is None:
            return name, properties, None
        if declared.ours:
            raise Refused(f"{declared.name} is said by this system alone", field="event")
        event = declared.of(properties, Occurrence(message_id, occurred_at))
        effects: dict[str, Any] = {}
        if declared.hold is not None:
            reference = str(getattr(event, declared.hold.reference))
            path = f"properties.{declared.hold.reference}"
            check_length(reference, path)
            effects["hold"] = {
                "kind": declared.hold.kind,
                "reference": reference,
                "action": declared.hold.action,
            }
        if (report := report_of(event)) is not None:
            effects["report"] = report_effect(report)
        if entries := self._catalog.entries(event):
            effects["entries"] = [entry_effect(entry) for entry in entries]
        if added := self._audiences.contributions(event, received_at):
            effects["computed"] = effects_of(added)
        return declared.name, properties, effects or None

    @staticmethod
    def _occurred_at(item: Mapping[str, Any], post: Post) -> datetime:
        """When it happened, corrected for the client's clock; never in the future.

        `receivedAt - (sentAt - timestamp)`, as Segment defines it. RudderStack's libraries
        stamp every call with an `originalTimestamp`, which takes its place; a `timestamp`
        beside it is what the caller knows better, and is left as it is.
        """
        timestamp, original = time_of(item, "timestamp"), time_of(item, "originalTimestamp")
        said = timestamp or original
        sent_at = time_of(item, "sentAt") or post.sent_at
        if said is None:
            return post.received_at
        if timestamp is not None and original is not None:
            sent_at = None
        try:
            at = post.received_at - (sent_at - said) if sent_at is not None else said
        except OverflowError:
            at = said
        return min(at, post.received_at)


def _context(item: Mapping[str, Any], post: Post) -> str | None:
    """An item's context over its batch's, and among it which destinations the item is for.

    Nothing here is sent on by `integrations`, but what a client said is kept.
    """
    context = object_of(item, "context")
    integrations = object_of(item, "integrations")
    if not context and not integrations:
        return post.context_json
    merged = {**(post.context or {}), **(context or {})}
    if integrations:
        under = merged.get("integrations")
        merged["integrations"] = {**(under if isinstance(under, dict) else {}), **integrations}
    return _dumps(merged)


def _recorded(item: Mapping[str, Any]) -> dict[str, Any]:
    beside = {"category": text_of(item, "category"), "groupId": id_of(item, "groupId")}
    return {
        **(object_of(item, "traits") or {}),
        **(object_of(item, "properties") or {}),
        **{name: value for name, value in beside.items() if value is not None},
    }


def _identities(item: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The user id and the anonymous id, where they are there.

    A user id that names nobody ("null") is refused, because the source believes that it says
    something; an anonymous one is left out.
    """
    user_id = id_of(item, "userId")
    anonymous_id = id_of(item, "anonymousId")
    if user_id is not None and names_nobody(user_id):
        raise Refused(f"userId {user_id!r} names nobody", field="userId")
    if anonymous_id is not None and names_nobody(anonymous_id):
        if user_id is None:
            raise Refused(
                f"anonymousId {anonymous_id!r} names nobody, and there is no userId",
                field="anonymousId",
            )
        anonymous_id = None
    return user_id, anonymous_id


def _nobody() -> Refused:
    return Refused("userId or anonymousId is required", field="userId")


def _unnamed(incoming: Incoming) -> Refused:
    """What is wrong with an event that names nobody; it may name a message of ours."""
    declared = event_type(incoming.name)
    message_id = (incoming.effects or {}).get("report", {}).get("message_id")
    if declared is None or declared.report_mark is None or message_id is None:
        return _nobody()
    return NamesMessage(message_id, incoming, f"properties.{declared.report_mark.reference}")


def _alias(
    item: Mapping[str, Any], user_id: str | None
) -> tuple[str, Mapping[str, Any], dict[str, Any]]:
    if user_id is None:
        raise Refused("userId is required: the id that previousId becomes", field="userId")
    previous_id = id_of(item, "previousId")
    if previous_id is None:
        raise Refused("previousId is required", field="previousId")
    if names_nobody(previous_id):
        raise Refused(f"previousId {previous_id!r} names nobody", field="previousId")
    return "alias", {"previousId": previous_id}, {"alias": {"previous_id": previous_id}}


def read_post(
    source_id: int, received_at: datetime, batch: Mapping[str, Any], doubts: Doubts
) -> tuple[Post, list[Refused]]:
    """The circumstances that a batch states for all of its items.

    Returns:
        Them, and what is wrong with those that had to be left out: a batch's own mistake
        should not cost its events.
    """
    wrong: list[Refused] = []
    sent_at = None
    try:
        sent_at = time_of(batch, "sentAt")
    except Refused as error:
        wrong.append(error)
    parts: dict[str, dict[str, Any]] = {}
    for field in ("context", "integrations"):
        try:
            part = object_of(batch, field) or {}
            check_event(part, doubts, f"batch's {field}")
        except Refused as error:
            wrong.append(Refused(error.reason, field=field))
        else:
            parts[field] = part
    context = parts.get("context", {})
    if integrations := parts.get("integrations"):
        context = {**context, "integrations": integrations}
    context_json = _dumps(context) if context else None
    return Post(source_id, received_at, sent_at, context, context_json), wrong


def circumstances(post: Post) -> dict[str, Any]:
    """What a batch stated for its items, for reading one of them again; as JSON."""
    said = {
        "sent_at": post.sent_at.isoformat() if post.sent_at is not None else None,
        "context": post.context,
    }
    return {name: value for name, value in said.items() if value}


def _dumps(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
