"""A variant may be named by any kind of text."""

from enum import Enum, StrEnum

from temporalio import workflow

from domain.events import CartAbandoned
from rehearsal import Rehearsal
from workflows import Journey, Outcome


class Subject(str, Enum):  # noqa: UP042 - what older code has
    """Names by the older way."""

    PLAIN = "plain"


class Colour(StrEnum):
    """Names by the newer way."""

    RED = "red"


@workflow.defn
class Named(Journey[CartAbandoned]):
    """Splits by names of both kinds."""

    @workflow.run
    async def run(self, _: CartAbandoned) -> Outcome:
        """Says what it was given."""
        subject = await self.split("subject", {Subject.PLAIN: 1.0})
        colour = await self.split("colour", {Colour.RED: 1.0})
        return Outcome.completed(f"{subject == Subject.PLAIN} {colour == Colour.RED}")


async def test_a_variant_that_is_a_member_of_an_enumeration_is_found_again(
    rehearsal: Rehearsal,
) -> None:
    play = await rehearsal.play(Named, CartAbandoned(cart_id="c1"))
    assert (await play.ends()).reason == "True True"
