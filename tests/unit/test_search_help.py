"""The story of a search that was no help (C23)."""

from datetime import timedelta

import pytest

from domain.events import ProductAdded, PurchaseMade, SearchAbandoned
from domain.outcomes import OutcomeKind
from journeys.search_help import SearchHelp
from rehearsal import NotEntered, Rehearsal

TOO_MANY = SearchAbandoned.of({"query": "lamp", "results": 500, "seconds": 10})
NOTHING = SearchAbandoned.of({"query": "lampp", "results": 0, "seconds": 60})
ADDED = ProductAdded(product_id="p1")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


async def test_c23_five_hundred_results_ten_seconds_left_brings_an_offer_of_help(
    stage: Rehearsal,
) -> None:
    play = await stage.play(SearchHelp, TOO_MANY)
    await play.passes(14 * MINUTE)
    assert play.sent == []
    await play.passes(MINUTE)
    assert play.sent == ["help/push"]
    assert play.handed[0].text.startswith("500 results are a lot.")
    assert (await play.ends()).reason == "found nothing"


async def test_c23_no_result_at_all_is_friction_too(stage: Rehearsal) -> None:
    play = await stage.play(SearchHelp, NOTHING, addresses={"email": "ada@example.test"})
    await play.passes(15 * MINUTE)
    assert "you searched for lampp, and we found nothing." in play.handed[0].text


@pytest.mark.parametrize(
    "search",
    [
        SearchAbandoned.of({"results": 500, "seconds": 120}),
        SearchAbandoned.of({"results": 12, "seconds": 10}),
        SearchAbandoned.of({"results": 500}),
        SearchAbandoned.of({"query": "lamp"}),
    ],
)
async def test_a_search_that_was_looked_at_is_none_of_ours(
    stage: Rehearsal, search: SearchAbandoned
) -> None:
    with pytest.raises(NotEntered):
        await stage.play(SearchHelp, search)


@pytest.mark.parametrize("found", [ADDED, PurchaseMade(order_id="o1")])
async def test_who_finds_it_meanwhile_is_not_disturbed(
    stage: Rehearsal, found: ProductAdded | PurchaseMade
) -> None:
    play = await stage.play(SearchHelp, TOO_MANY)
    await play.passes(5 * MINUTE)
    await play.happens(found)
    assert (await play.ends()).kind is OutcomeKind.CONVERTED
    assert play.sent == []


async def test_who_finds_it_with_help_is_a_success(stage: Rehearsal) -> None:
    play = await stage.play(SearchHelp, TOO_MANY)
    await play.passes(DAY)
    await play.happens(ADDED)
    assert (await play.ends()).reason == "found it"


async def test_help_is_offered_once_a_week(stage: Rehearsal) -> None:
    play = await stage.play(SearchHelp, TOO_MANY)
    await play.ends()
    with pytest.raises(NotEntered, match="too soon"):
        await stage.play(SearchHelp, TOO_MANY, who=play.who)
