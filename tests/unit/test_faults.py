"""The fault test's judge finds what is wrong, and its plan breaks everything at least once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.acknowledgements import Posted
from tests.faults.chaos import Fault, plan
from tests.faults.facts import Enrolled, Facts, Message
from tests.faults.judge import judge


def posted(message_id: str, name: str, sent: float, **properties: object) -> Posted:
    about = dict(properties)
    acknowledged = sent + 0.5
    return Posted("s", message_id, "ada", name, about, sent=sent, acknowledged=acknowledged)


def enrolled(journey: str, *heard: str, ordinal: int = 1, **fields: Any) -> Enrolled:
    numbers = list(range(1, len(heard) + 1))
    about = Enrolled(
        id=f"{journey}-{ordinal}",
        journey=journey,
        user="ada",
        key="",
        ordinal=ordinal,
        outcome=None,
        ended=None,
        last=len(heard),
        numbers=numbers,
        diary=[(number, f"s/{one}") for number, one in zip(numbers, heard, strict=True)],
    )
    return dataclasses.replace(about, **fields)


def good() -> Facts:
    """Two rallies of two balls and one, a parcel that moves and arrives, an offer told."""
    events = [
        posted("b1", "ball_played", 10, ends_after=2),
        posted("b2", "ball_played", 11, ends_after=2),
        posted("b3", "ball_played", 12, ends_after=2),
        posted("p1", "parcel_sent", 13),
        posted("m1", "parcel_moved", 14),
        posted("m2", "parcel_moved", 15),
        posted("o1", "offer_made", 16),
        posted("w1", "offer_withdrawn", 20, offer_id="o1"),
    ]
    return Facts(
        posted=events,
        stored={event.ref: 1 for event in events},
        enrolled=[
            enrolled("rally", "b1", "b2", outcome="completed", ended=11.7),
            enrolled("rally", "b3", ordinal=2),
            enrolled("shipment", "p1", "m1", key="p1", outcome="converted", ended=14.7),
            enrolled("offer", "o1", key="o1", outcome="completed", ended=18.0),
        ],
        messages=[Message("offer-1/care_task/webhook", "offer-1", "webhook", "sent", 17.0)],
        received=["offer-1/care_task/webhook"],
    )


def test_what_went_well_is_found_well() -> None:
    assert judge(good()).wrong == {}


Damage = Callable[[Facts], object]


def _diary(facts: Facts, place: int, *diary: tuple[int, str]) -> None:
    facts.enrolled[place].diary[:] = [(number, f"s/{one}") for number, one in diary]


def _both_heard_and_begun(facts: Facts) -> None:
    _diary(facts, 0, (1, "b1"), (2, "b2"), (3, "b3"))
    facts.enrolled[0].last = 3
    facts.enrolled[0].numbers.append(3)


def _decided_after_the_withdrawal(facts: Facts) -> None:
    facts.posted[7].sent, facts.posted[7].acknowledged = 16.6, 16.9


def _order_across_rallies(facts: Facts) -> None:
    facts.posted[2].sent, facts.posted[2].acknowledged = 9.0, 9.5


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        pytest.param(lambda f: f.stored.pop("s/m1"), "lost", id="not stored"),
        pytest.param(lambda f: f.stored.update({"s/m1": 2}), "doubled", id="stored twice"),
        pytest.param(
            lambda f: setattr(f.posted[0], "accepted", 2), "doubled", id="called new twice"
        ),
        pytest.param(lambda f: f.stored.update(x=1), "strayed", id="stored, never posted"),
        pytest.param(lambda f: _diary(f, 0, (1, "b1")), "lost", id="not heard"),
        pytest.param(
            lambda f: _diary(f, 0, (1, "b1"), (2, "b2"), (2, "b2")), "doubled", id="heard twice"
        ),
        pytest.param(
            lambda f: _diary(f, 0, (2, "b2"), (1, "b1")), "out_of_order", id="heard in disorder"
        ),
        pytest.param(
            lambda f: _diary(f, 0, (1, "b2"), (2, "b1")), "out_of_order", id="numbered in disorder"
        ),
        pytest.param(_order_across_rallies, "out_of_order", id="disorder across an exit"),
        pytest.param(lambda f: f.enrolled.pop(1), "lost", id="neither heard nor begun"),
        pytest.param(_both_heard_and_begun, "doubled", id="both heard and begun"),
        pytest.param(
            lambda f: setattr(f.enrolled[2], "ended", 16.0), "lost", id="live and not told"
        ),
        pytest.param(
            lambda f: setattr(f.enrolled[2], "ended", 13.7), "strayed", id="told after its end"
        ),
        pytest.param(lambda f: f.enrolled[0].numbers.remove(1), "gaps", id="a gap"),
        pytest.param(
            lambda f: f.received.append("offer-1/care_task/webhook"),
            "copies",
            id="received twice",
        ),
        pytest.param(lambda f: f.received.append("x"), "copies", id="received, not recorded"),
        pytest.param(lambda f: f.received.clear(), "sends_lost", id="sent, not received"),
        pytest.param(_decided_after_the_withdrawal, "stale_sends", id="a stale view"),
        pytest.param(
            lambda f: setattr(f.enrolled[1], "outcome", "terminated"), "stuck", id="given up"
        ),
    ],
)
def test_what_went_wrong_is_found(damage: Damage, kind: str) -> None:
    facts = good()
    damage(facts)
    assert kind in judge(facts).wrong


def test_what_was_never_acknowledged_may_be_there_or_not() -> None:
    facts = good()
    facts.posted[5].acknowledged = None
    assert judge(facts).wrong == {}
    del facts.stored["s/m2"]
    assert judge(facts).wrong == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_every_kind_of_fault_within_the_load(seed: int) -> None:
    for seconds, lease in ((20.0, 3.0), (120.0, 20.0)):
        strikes = plan(seed, seconds, lease, longest_stop=75)
        assert strikes == plan(seed, seconds, lease, longest_stop=75)
        assert {strike.fault for strike in strikes} == set(Fault)
        assert all(0 < strike.at < seconds for strike in strikes)
        for strike in strikes:
            if strike.fault is Fault.STOP_RELAY:
                assert strike.seconds > lease
