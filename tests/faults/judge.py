"""The judge: lost, doubled, out of order, by the clients' log and the journeys' diaries alone.

What the store says is used for two things: which enrollments there were, and when each ended.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from tests.faults.acknowledgements import Posted
from tests.faults.facts import Enrolled, Facts

STARTS = {"ball_played": "rally", "parcel_sent": "shipment", "offer_made": "offer"}
HEARD_BY = {"ball_played": "rally", "parcel_moved": "shipment", "offer_withdrawn": "offer"}
IN_ORDER = frozenset({"rally", "shipment"})
"""The journeys that take their events one by one, so that their diaries show the order."""


@dataclass(slots=True)
class Verdict:
    """What is wrong, in words, by kind; all empty where the guarantees held."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    strayed: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    stale_sends: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    sends_lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> dict[str, list[str]]:
        """The kinds that are not empty."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: words for name, words in found.items() if words}


def judge(facts: Facts) -> Verdict:
    """Judge."""
    verdict = Verdict()
    posted = {event.ref: event for event in facts.posted}
    verdict.stuck += facts.unsettled
    _judge_store(facts, posted, verdict)
    by_user: dict[tuple[str, str], list[Enrolled]] = defaultdict(list)
    for one in facts.enrolled:
        by_user[one.user, one.journey].append(one)
        _judge_diary(one, posted, verdict)
    _judge_starts(facts, by_user, verdict)
    _judge_hearing(facts, by_user, posted, verdict)
    for (user, journey), ones in by_user.items():
        if journey == "rally":
            whole = [heard for one in sorted(ones, key=lambda e: e.ordinal) for heard in one.diary]
            _judge_order(f"rallies of {user}", [posted.get(i) for _, i in whole], verdict)
    _judge_messages(facts, posted, verdict)
    return verdict


def _judge_store(facts: Facts, posted: Mapping[str, Posted], verdict: Verdict) -> None:
    """G1, and deduplication."""
    for event in facts.posted:
        times = facts.stored.get(event.ref, 0)
        if times == 0 and event.acknowledged is not None:
            verdict.lost.append(f"{_name(event)} was acknowledged by {event.by}, is not stored")
        if times > 1 or event.accepted > 1:
            verdict.doubled.append(
                f"{_name(event)} is stored {times} times, was called new {event.accepted} times"
            )
    for ref in facts.stored.keys() - posted.keys():
        verdict.strayed.append(f"{ref} is stored and was never posted")


def _judge_diary(one: Enrolled, posted: Mapping[str, Posted], verdict: Verdict) -> None:
    """G2: 1, 2, 3 …, each once, in the order of acknowledgement."""
    where = f"{one.journey} {one.ordinal} {one.key} of {one.user}"
    if one.numbers != list(range(1, one.last + 1)):
        verdict.gaps.append(f"{where} was given the numbers {one.numbers}, the last is {one.last}")
    heard = Counter(number for number, _ in one.diary)
    for number in range(1, one.last + 1):
        if not heard[number]:
            verdict.lost.append(f"{where} has not heard number {number}")
    for number, times in heard.items():
        if times > 1:
            verdict.doubled.append(f"{where} heard number {number} {times} times")
        if not 1 <= number <= one.last:
            verdict.strayed.append(f"{where} heard number {number} of {one.last}")
    if one.outcome == "terminated":
        verdict.stuck.append(f"{where} was given up, though nobody ended it")
    in_order = one.diary
    if one.journey not in IN_ORDER:
        in_order = sorted(one.diary)
    elif sorted(one.diary) != one.diary:
        verdict.out_of_order.append(f"{where} took {one.diary}")
    _judge_order(where, [posted.get(ref) for _, ref in in_order], verdict)


def _judge_order(where: str, heard: Sequence[Posted | None], verdict: Verdict) -> None:
    """What was acknowledged before another was sent comes before it."""
    latest: Posted | None = None  # the last to be sent of those that came before
    for event in heard:
        if event is None:
            verdict.strayed.append(f"{where} heard what was never posted")
            continue
        done = event.acknowledged
        if latest is not None and done is not None and done < latest.sent:
            verdict.out_of_order.append(f"{where}: {_name(event)} came after {_name(latest)}")
        if latest is None or event.sent > latest.sent:
            latest = event


def _judge_starts(
    facts: Facts, by_user: Mapping[tuple[str, str], Sequence[Enrolled]], verdict: Verdict
) -> None:
    """What starts a journey starts it once; a ball begins a rally or is heard by one."""
    for event in facts.posted:
        journey = STARTS.get(event.name)
        if journey is None:
            continue
        times = sum(
            _times(event, one if journey == "rally" else _only_trigger(one))
            for one in by_user.get((event.user, journey), ())
        )
        if times == 0 and event.acknowledged is not None:
            verdict.lost.append(f"{_name(event)} neither began a {journey} nor was heard by one")
        if times > 1:
            verdict.doubled.append(f"{_name(event)} is in {times} places of {event.user}")


def _only_trigger(one: Enrolled) -> Enrolled:
    return Enrolled(
        one.id,
        one.journey,
        one.user,
        one.key,
        one.ordinal,
        one.outcome,
        one.ended,
        one.last,
        diary=[heard for heard in one.diary if heard[0] == 1],
    )


def _judge_hearing(
    facts: Facts,
    by_user: Mapping[tuple[str, str], Sequence[Enrolled]],
    posted: Mapping[str, Posted],
    verdict: Verdict,
) -> None:
    """An event reaches every enrollment that was live then and listens, and no other."""
    for event in facts.posted:
        journey = HEARD_BY.get(event.name)
        if journey in {None, "rally"}:
            continue
        for one in by_user.get((event.user, str(journey)), ()):
            begun = next((posted.get(i) for number, i in one.diary if number == 1), None)
            if begun is None:
                continue  # lost, and counted
            times = _times(event, one)
            what = f"{_name(event)}, {journey} {one.key}"
            if times > 1:
                verdict.doubled.append(f"{what}: heard {times} times")
            if times == 0 and _must_hear(event, begun, one):
                verdict.lost.append(f"{what}: was not heard")
            if times == 1 and _cannot_hear(event, begun, one):
                verdict.strayed.append(f"{what}: heard, though it was over or not begun")


def _must_hear(event: Posted, begun: Posted, one: Enrolled) -> bool:
    return (
        event.acknowledged is not None
        and begun.acknowledged is not None
        and begun.acknowledged < event.sent
        and (one.ended is None or event.acknowledged < one.ended)
    )


def _cannot_hear(event: Posted, begun: Posted, one: Enrolled) -> bool:
    before = event.acknowledged is not None and event.acknowledged < begun.sent
    return before or (one.ended is not None and event.sent > one.ended)


def _times(event: Posted, one: Enrolled) -> int:
    return sum(ref == event.ref for _, ref in one.diary)


def _judge_messages(facts: Facts, posted: Mapping[str, Posted], verdict: Verdict) -> None:
    """G3 and G4."""
    received = Counter(facts.received)
    verdict.copies += [f"{key} was received {n} times" for key, n in received.items() if n > 1]
    known = {message.key: message for message in facts.messages}
    for key in received:
        if key not in known or known[key].verdict not in {"sent", "unknown"}:
            told = known[key].verdict if key in known else "nothing"
            verdict.copies.append(f"{key} was received, and the ledger says {told}")
    withdrawn = {
        event.properties["offer_id"]: event
        for event in posted.values()
        if event.name == "offer_withdrawn" and event.acknowledged is not None
    }
    for one in facts.enrolled:
        task = f"{one.id}/care_task/webhook"
        if one.outcome == "completed" and one.journey == "offer" and not received[task]:
            verdict.sends_lost.append(f"{task} was due, and nobody received it")
    offers = {one.id: one.key for one in facts.enrolled if one.journey == "offer"}
    for message in facts.messages:
        if message.verdict == "sent" and not received[message.key]:
            verdict.sends_lost.append(f"{message.key} is called sent, and nobody received it")
        news = withdrawn.get(offers.get(message.enrollment_id, ""))
        if message.decided is None or news is None or news.acknowledged is None:
            continue
        if news.acknowledged < message.decided:
            verdict.stale_sends.append(f"{message.key} was decided after {_name(news)}")


def _name(event: Posted) -> str:
    return f"{event.name} {event.ref} of {event.user}"


def evidence(verdict: Verdict, most: int = 8) -> Iterable[str]:
    """What is wrong, line by line, some of each kind."""
    for kind, words in verdict.wrong.items():
        yield f"{kind}: {len(words)}"
        yield from (f"    {line}" for line in words[:most])
