"""The inbox of an enrollment: numbered envelopes in, events out, each once and in order."""

from collections.abc import Iterable, Mapping

from temporalio import workflow
from temporalio.common import RawValue

from domain.events import Envelope

BY_HAND = 0
"""The number of an event that a person sent from the Temporal UI."""


class Unreadable(ValueError):
    """A signal's payload is not what a signal of ours carries."""


def read_envelopes(name: str | None, raw: RawValue | None) -> list[Envelope]:
    """Read a signal's payload, whoever sent it.

    The relay sends a list of envelopes. A person in the Temporal UI sends the properties
    alone, as the signal's description shows; what stands in an envelope by itself was sent by
    a person too, and has no number of ours.

    Args:
        name: the event's name, or None for a signal that carries several kinds.
        raw: the payload, or None where the signal had none.

    Raises:
        Unreadable: it is neither; the text says what it is.
    """
    if raw is None:
        raise Unreadable("no payload")
    try:
        data = workflow.payload_converter().from_payload(raw.payload)
    except Exception as error:
        raise Unreadable(f"not decodable: {error}") from error
    if isinstance(data, list):
        return [_envelope(item) for item in data]
    if isinstance(data, dict) and name is not None:
        now = workflow.now().isoformat()
        if {"number", "event_id"} <= data.keys():
            data = data.get("properties")
            if not isinstance(data, dict):
                raise Unreadable("an envelope without properties")
        return [Envelope(BY_HAND, name, f"by-hand-{workflow.uuid4()}", now, data)]
    raise Unreadable(f"expected a JSON object with the event's properties, got {data!r:.80}")


def _envelope(data: object) -> Envelope:
    match data:
        case {
            "number": int(number),
            "name": str(name),
            "event_id": str(event_id),
            "occurred_at": str(occurred_at),
            "properties": dict(properties),
        } if number > 0:
            return Envelope(number, name, event_id, occurred_at, properties)
        case _:
            raise Unreadable(f"expected an envelope, got {data!r:.80}")


_REMEMBERED = 100


class Inbox:
    """Applies number `heard + 1`, ignores what is not larger, keeps what is ahead (G2).

    Attributes:
        heard: the number of the last event applied.
        ahead: what came before an event with a smaller number, by number.
        heard_as: the event ids of the last hundred numbers applied.
    """

    def __init__(
        self,
        heard: int = 0,
        ahead: Iterable[Envelope] = (),
        heard_as: Mapping[int, str] | None = None,
    ) -> None:
        self.heard = heard
        self.ahead = {envelope.number: envelope for envelope in ahead}
        self.heard_as = dict(heard_as or {})

    @property
    def missing(self) -> int | None:
        """The number that everything else waits for, or None where nothing waits."""
        return self.heard + 1 if self.ahead else None

    def receive(self, envelopes: Iterable[Envelope]) -> list[Envelope]:
        """Take envelopes in any order, any number of times; give what may be applied now."""
        ready: list[Envelope] = []
        for envelope in envelopes:
            if envelope.number == BY_HAND:
                ready.append(envelope)
            elif envelope.number > self.heard:
                self.ahead.setdefault(envelope.number, envelope)
                if self.ahead[envelope.number].event_id != envelope.event_id:
                    ready.append(envelope)
            elif self.heard_as.get(envelope.number, envelope.event_id) != envelope.event_id:
                # A person copied an envelope and so took this number: the event still counts.
                ready.append(envelope)
            while (following := self.ahead.pop(self.heard + 1, None)) is not None:
                self.heard += 1
                self.heard_as[self.heard] = following.event_id
                self.heard_as.pop(self.heard - _REMEMBERED, None)
                ready.append(following)
        return ready
