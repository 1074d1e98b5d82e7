"""The final table."""

from collections.abc import Iterable

from tests.faults.judge import evidence
from tests.faults.run import Result

_WORDS = {
    "lost": "lost",
    "doubled": "doubled",
    "out_of_order": "out of order",
    "strayed": "heard by whom it is not for",
    "gaps": "gaps in the numbers",
    "stale_sends": "messages on a stale view",
    "copies": "messages twice or unrecorded",
    "sends_lost": "messages lost",
    "stuck": "stuck",
}


def table(result: Result) -> str:
    """Everything that a reader of one run wants to know."""
    log, facts, verdict = result.log, result.facts, result.verdict
    wrong = verdict.wrong
    retries = sum(event.attempts - 1 for event in facts.posted)
    rows: list[tuple[str, object]] = [
        ("events posted", len(log.posted)),
        ("  acknowledged", log.count),
        ("  sent again", retries),
        ("enrollments", len(facts.enrolled)),
        ("  ended", sum(one.ended is not None for one in facts.enrolled)),
        ("  events heard", sum(len(one.diary) for one in facts.enrolled)),
        ("  events that met an exit", facts.met_an_exit()),
        ("messages received", len(facts.received)),
        *((words, len(wrong.get(kind, ()))) for kind, words in _WORDS.items()),
        *((f"{fault}", count) for fault, count in sorted(result.struck.items())),
        ("processes that ended by themselves", len(result.deaths)),
    ]
    width = max(len(name) for name, _ in rows) + 2
    lines = [f"{name:<{width}}{value:>8}" for name, value in rows]
    answers = ", ".join(f"{count} {what}" for what, count in log.answers.most_common())
    wish = result.wish
    again = (
        f"--seed {wish.seed} --seconds {wish.seconds:g} --lease {wish.lease:g}"
        f" --longest-stop {wish.longest_stop:g} --customers {wish.customers}"
        f" --clients {wish.clients} --rate {wish.rate:g}"
    )
    lines += [f"answers: {answers}", f"took {result.took:.0f} s; again: {again}"]
    return "\n".join([*lines, *_notes(result)])


def _notes(result: Result) -> Iterable[str]:
    yield from (f"refused: {words}" for words in result.log.refused[:5])
    yield from (f"ended by itself: {words}" for words in result.deaths[:10])
    yield from evidence(result.verdict)
