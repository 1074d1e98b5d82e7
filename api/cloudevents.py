"""CloudEvents 1.0: from the wire to what the store accepts.

Sources: CloudEvents specification 1.0.2, its "HTTP Protocol Binding" and "JSON Event Format".
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import orjson

from api.batch import read_each, take_array_apart
from api.body import Doubts, check_event
from api.fields import LONGEST_NAME
from api.intake import Rejection
from api.recipients import NamesMessage
from api.salvage import salvage_array
from api.segment import Post, SegmentReader
from domain.errors import Refused
from infra.database.accept import Incoming

STRUCTURED = "application/cloudevents"
BATCH = "application/cloudevents-batch"

_JSON = re.compile(r"[^/]+/(?:[^/]+\+)?json")
_HEADER = re.compile(rb"ce-([a-z0-9]+)")
_ESCAPED = re.compile(r"\\(.)")
# What HTTP libraries say of a body when nobody told them better.
_UNSAID = frozenset({"", "application/x-www-form-urlencoded"})
# Whom it is about and what it says have their own places in the store.
_NOT_CONTEXT = frozenset({"data", "data_base64", "subject", "anonymousid"})
_OURS = {
    "userId": "subject",
    "anonymousId": "anonymousid",
    "messageId": "id",
    "event": "type",
    "timestamp": "time",
    "properties": "data",
}


class CloudEventReader:
    """Reads CloudEvents: `type` is the event's name, `subject` the user id, `data` the properties.

    Args:
        reader: reads what they become.
        prefixes: what is taken off the front of a type, such as `com.example.`.
    """

    def __init__(self, reader: SegmentReader, prefixes: Sequence[str] = ()) -> None:
        self._reader = reader
        self._prefixes = tuple(prefixes)

    def read(self, event: Any, post: Post) -> Incoming:
        """Read one event in the JSON format, decoded.

        Raises:
            Refused: it cannot be taken; the reason names the attribute.
        """
        if not isinstance(event, dict):
            raise Refused("the event must be a JSON object")
        if event.get("specversion") != "1.0":
            raise Refused("specversion must be 1.0", field="specversion")
        item = {
            "messageId": message_id(_required(event, "source"), _required(event, "id")),
            "event": self._name(_required(event, "type")),
            "userId": _text(event, "subject"),
            "anonymousId": _text(event, "anonymousid"),
            "timestamp": _text(event, "time"),
            "properties": _data(event),
            "context": {
                "cloudevent": {
                    name: value
                    for name, value in event.items()
                    if value is not None and name not in _NOT_CONTEXT
                }
            },
        }
        try:
            return self._reader.read("track", item, post)
        except Refused as error:
            if error.field == "userId" and item["userId"] is item["anonymousId"] is None:
                raise Refused(
                    "subject is required: it is the customer's user id", field="subject"
                ) from None
            raise _in_their_words(error) from None

    def _name(self, said: str) -> str:
        for prefix in self._prefixes:
            if said.startswith(prefix) and len(said) > len(prefix):
                return said[len(prefix) :]
        return said


def message_id(source: str, event_id: str) -> str:
    """The message id of an event: its source and id, which together name it.

    A source has no space, so the space between them stands for nothing else. Where both are
    too long for an id, their digest takes their place.

    Raises:
        Refused: the source has one.
    """
    if " " in source:
        raise Refused("source must be a URI reference, which has no spaces", field="source")
    both = f"{source} {event_id}"
    if len(both) <= LONGEST_NAME:
        return both
    return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"


def named(event: Any) -> str | None:
    """The message id of an event that was rejected, where it can be read."""
    if not isinstance(event, Mapping):
        return None
    source, event_id = event.get("source"), event.get("id")
    if not isinstance(source, str) or not isinstance(event_id, str):
        return None
    try:
        return message_id(source, event_id)
    except Refused:
        return None


async def read_batch(
    reader: CloudEventReader, body: bytes, post: Post
) -> list[Incoming | Rejection]:
    """Read a batch in the JSON format, each event on its own.

    Raises:
        Refused: it is no array.
    """
    return await read_each(
        await take_array_apart(body),
        Doubts.of(body),
        lambda event: reader.read(event, post),
        lambda: salvage_array(body) or (),
        named,
    )


def from_binary(
    headers: Iterable[tuple[bytes, bytes]], content_type: str, body: bytes
) -> dict[str, Any]:
    """An event of the binary mode as it would be in the JSON format.

    What cannot be read stays as it is, for the reader to refuse: so the event can be kept.

    Args:
        headers: the request's, names in lower case.
        content_type: the media type of the body, without parameters.
        body: the data.
    """
    event: dict[str, Any] = {}
    for name, value in headers:
        attribute = _HEADER.fullmatch(name)
        if attribute is not None:
            event[attribute[1].decode()] = _header_value(value)
    if content_type not in _UNSAID:
        event["datacontenttype"] = content_type
    if body and _is_json(content_type):
        try:
            event["data"] = orjson.loads(body)
        except orjson.JSONDecodeError:
            event["data_base64"] = base64.b64encode(body).decode()
    elif body:
        event["data_base64"] = base64.b64encode(body).decode()
    return event


def structured(event: dict[str, Any], body: bytes) -> bytes:
    """An event of the binary mode in the JSON format.

    Args:
        event: as `from_binary` gives it; data too deep to be written again become encoded.
        body: the data as they came.
    """
    try:
        return orjson.dumps(event)
    except TypeError:  # it gives up at 254 levels
        del event["data"]
        event["data_base64"] = base64.b64encode(body).decode()
        return orjson.dumps(event)


def _header_value(raw: bytes) -> str:
    """A header's value: quotes taken off and percent signs decoded, as the binding asks.

    Some libraries write letters beyond ASCII as they are, in UTF-8 or Latin-1.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _ESCAPED.sub(r"\1", text[1:-1])
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refused("a ce- header's percent-encoding is not UTF-8") from None


def _is_json(content_type: str) -> bool:
    return content_type in _UNSAID or _JSON.fullmatch(content_type) is not None


def _required(event: Mapping[str, Any], name: str) -> str:
    value = _text(event, name)
    if value is None:
        raise Refused(f"{name} is required", field=name)
    return value


def _text(event: Mapping[str, Any], name: str) -> str | None:
    value = event.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(f"{name} must be a string", field=name)
    if not value.strip():
        raise Refused(f"{name} must not be empty", field=name)
    return value.strip()


def _data(event: Mapping[str, Any]) -> dict[str, Any]:
    said = (_text(event, "datacontenttype") or "").partition(";")[0].strip().lower()
    if not _is_json(said):
        raise Refused(
            f"datacontenttype is {said[:60]!r}: the data must be JSON",
            field="datacontenttype",
            status=415,
        )
    data, encoded = event.get("data"), event.get("data_base64")
    field = "data"
    if encoded is not None:
        field = "data_base64"
        if data is not None:
            raise Refused("an event has data or data_base64, not both", field=field)
        data = _decoded(encoded)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refused(f"{field} must be a JSON object: it is the event's properties", field=field)
    return data


def _decoded(encoded: Any) -> Any:
    if not isinstance(encoded, str):
        raise Refused("data_base64 must be a string", field="data_base64")
    try:
        text = base64.b64decode(encoded, validate=True)
        data = orjson.loads(text)
    except (binascii.Error, ValueError) as error:
        wrong = "not JSON" if isinstance(error, orjson.JSONDecodeError) else "not Base64"
        raise Refused(f"the data is {wrong}: {error}", field="data_base64") from None
    check_event(data, Doubts.of(text), "data")
    return data


def _in_their_words(error: Refused) -> Refused:
    """An error of what an event became, with the names that CloudEvents has."""
    if error.field is None:
        return error
    head, dot, rest = error.field.partition(".")
    theirs = _OURS.get(head, head)
    if isinstance(error, NamesMessage):
        return NamesMessage(error.message_id, error.incoming, f"{theirs}{dot}{rest}")
    return Refused(
        error.reason.replace(f"{head}{dot}", f"{theirs}{dot}"),
        field=f"{theirs}{dot}{rest}",
        status=error.status,
    )
