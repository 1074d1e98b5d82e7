"""Two customers in memory turn out to be one, as `migrations/functions/merge.sql` has it."""

from typing import Any

from domain.events import CUSTOMER_MERGED, Envelope
from domain.outcomes import Outcome, OutcomeKind
from rehearsal.people import Enrollment, News, Person


def merge(stays: Person, goes: Person) -> tuple[News, list[Enrollment]]:
    """Move what decisions rest on to the customer who stays, and number the news of it.

    Of two live enrollments of one journey and key the older goes on, but where a customer may
    be in it several times.

    Returns:
        What each live enrollment of both hears, by enrollment; and those that are over.
    """
    over = [
        _younger(one, other)
        for one in stays.live()
        for other in goes.live()
        if one.same_way(other) and not (one.several or other.several)
    ]
    told: dict[str, Any] = {
        "customer_id": stays.customer_id,
        "merged": goes.customer_id,
        "ended": [each.enrollment_id for each in over],
    }
    news: News = {}
    for own, other in ((stays, goes), (goes, stays)):
        for each in own.live():
            event_id = f"merge-{goes.customer_id}"
            first = each.acknowledge(CUSTOMER_MERGED, event_id, stays.now(), told)
            news[each.enrollment_id] = [first, *([] if each in over else _missed(each, other))]
    for each in over:
        each.outcome = Outcome(kind=OutcomeKind.MERGED, reason="the older enrollment goes on")
        each.ended_at = stays.now()
    stays.addresses = {**goes.addresses, **stays.addresses}
    stays.traits = {**goes.traits, **stays.traits}
    stays.computed = {**goes.computed, **stays.computed}
    stays.segments = tuple(dict.fromkeys((*stays.segments, *goes.segments)))
    stays.holds = list(dict.fromkeys((*stays.holds, *goes.holds)))
    stays.time_zone = stays.time_zone or goes.time_zone
    stays.locale = stays.locale or goes.locale
    stays.former_ids += (goes.customer_id, *goes.former_ids)
    stays.enrollments.update(goes.enrollments)
    stays.variants = {**goes.variants, **stays.variants}
    stays.ledger.update(goes.ledger)
    stays.history = sorted((*stays.history, *goes.history), key=lambda event: event.order)
    return news, over


def _younger(one: Enrollment, other: Enrollment) -> Enrollment:
    return one if one.began > other.began else other


def _missed(enrollment: Enrollment, other: Person) -> list[Envelope]:
    """What the other customer did since it began: had it been known, it would have heard it."""
    return [
        enrollment.acknowledge(event.name, event.event_id, event.at, dict(event.properties))
        for event in other.history
        if event.order > enrollment.began and enrollment.hears(event.name)
    ]
