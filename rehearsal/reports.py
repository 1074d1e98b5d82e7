"""What is told of messages, taken in memory as `migrations/functions/outcomes_1.sql` has it.

But for who unsubscribes by another customer's message: nobody's device is without a name here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING

from domain.events import MESSAGE_SETTLED, Envelope, Report
from domain.messages import Reason, Verdict

if TYPE_CHECKING:
    from rehearsal.people import Person, Row


@dataclass(frozen=True, slots=True)
class Suppression:
    """Whether a customer is unsubscribed at an address, and what said so last.

    Attributes:
        by_message: they had a message there: it holds for others with the address, too.
    """

    suppressed: bool
    by_message: bool
    cause: str
    told_at: datetime


Suppressions = dict[tuple[str, str, str], Suppression]
"""By channel, address (in small letters) and the customer who said it."""

_OPEN = {Verdict.SENDING, Verdict.UNKNOWN, Verdict.REJECTED}


def take(person: "Person", report: Report, at: datetime) -> dict[str, list[Envelope]]:
    """Take a report of a customer's message; gives what its enrollment hears, by enrollment.

    Of several about one message what happened last counts, in whatever order they are told.
    """
    row = next(
        (
            row
            for row in person.ledger.values()
            if (row.message_id, row.message.channel) == (report.message_id, report.channel)
        ),
        None,
    )
    if report.says in {"unsubscribed", "resubscribed"}:
        by_message = row is not None and row.address is not None
        for address in _addresses(person, row, report.channel):
            _suppress(person, report, address, at, by_message=by_message)
    if row is None or report.says == "resubscribed":
        return {}
    if row.reported_at is not None and row.reported_at > at:
        return {}
    row.reported_at = at
    before = (row.verdict, row.reason)
    _settle(row, report)
    if report.hard and person.addresses.get(row.message.channel) == row.address:
        person.addresses.pop(row.message.channel, None)
    if (row.verdict, row.reason) == before:
        return {}
    person.told(row)
    came_back = Reason.BOUNCED in {before[1], row.reason} and before[1] is not row.reason
    if before[0] is Verdict.SENDING or (before[0] is row.verdict and not came_back):
        return {}
    return _settled(person, row, report.detail)


def _settle(row: "Row", report: Report) -> None:
    verdict, reason = row.verdict, row.reason
    if report.says != "bounced":
        verdict, reason = Verdict.SENT, Reason.DELIVERED
    elif row.verdict in _OPEN:
        verdict, reason = Verdict.REJECTED, Reason.BOUNCED
    elif row.verdict is Verdict.SENT:
        # What was accepted stays sent, though it came back.
        reason = Reason.BOUNCED
    if (verdict, reason) == (row.verdict, row.reason):
        return
    if row.verdict is not Verdict.SENT or Reason.BOUNCED in {row.reason, reason}:
        row.detail = report.detail
    row.verdict, row.reason, row.in_flight_since = verdict, reason, None


def _addresses(person: "Person", row: "Row | None", channel: str) -> Iterable[str]:
    if row is not None and row.address is not None:
        return [row.address]
    return [person.addresses[channel]] if channel in person.addresses else []


def _suppress(
    person: "Person", report: Report, address: str, at: datetime, *, by_message: bool
) -> None:
    key = (report.channel, address.lower(), person.customer_id)
    before = person.suppressions.get(key)
    if before is None or before.told_at <= at:
        held = before is not None and before.suppressed and before.by_message
        person.suppressions[key] = Suppression(
            report.says == "unsubscribed", by_message or held, report.detail, at
        )


def _settled(person: "Person", row: "Row", detail: str) -> dict[str, list[Envelope]]:
    enrollment_id = row.key.partition("/")[0]
    enrollment = person.enrollments.get(enrollment_id)
    if enrollment is None or enrollment.outcome is not None:
        return {}
    told = {
        "message": row.message_id,
        "step": row.name.rpartition("/")[0],
        "channel": row.message.channel,
        "verdict": row.verdict.value,
        "reason": row.reason.value,
        "detail": detail,
    }
    event_id = f"settled-{row.message_id}"
    return {enrollment_id: [enrollment.acknowledge(MESSAGE_SETTLED, event_id, person.now(), told)]}


def unsubscribed(person: "Person") -> dict[str, str]:
    """By channel, why the customer's address there gets only what is about a service.

    It is what they said last themselves, or what somebody else said who had a message there.
    """
    found = {
        channel: _unsubscribed(person, channel, address.lower())
        for channel, address in person.addresses.items()
    }
    return {
        channel: f"{told.cause} on {told.told_at:%Y-%m-%d}"
        for channel, told in found.items()
        if told is not None
    }


def _unsubscribed(person: "Person", channel: str, address: str) -> Suppression | None:
    own: list[Suppression] = []
    said: list[Suppression] = []
    for (where, what, who), told in person.suppressions.items():
        if (where, what) == (channel, address):
            if who in person.ids:
                own.append(told)
            elif told.by_message:
                said.append(told)
    said += sorted(own, key=attrgetter("told_at"))[-1:]
    return max((t for t in said if t.suppressed), key=attrgetter("told_at"), default=None)
