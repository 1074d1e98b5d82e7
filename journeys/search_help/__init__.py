"""Help a customer who searched, got far too much or nothing, and left."""

from datetime import timedelta

from temporalio import workflow

from domain.events import ProductAdded, PurchaseMade, SearchAbandoned
from workflows import Journey, Outcome, Parameters, ReEntry, Template, email, push

HELP = Template("search_help/help", SearchAbandoned)

_TOO_MANY = 100
_A_GLANCE = 30  # seconds


def _was_no_help(search: SearchAbandoned) -> bool:
    """Whether nothing was found, or too much to be looked at and it was not."""
    if search.results is None or search.results == 0:
        return search.results == 0
    glanced = search.seconds is not None and search.seconds <= _A_GLANCE
    return search.results >= _TOO_MANY and glanced


class SearchParameters(Parameters):
    """What may be changed without touching the code."""

    patience: timedelta = timedelta(minutes=15)
    decide_within: timedelta = timedelta(days=2)


@workflow.defn
class SearchHelp(
    Journey[SearchAbandoned, SearchParameters],
    where=_was_no_help,
    listens=[ProductAdded, PurchaseMade],
    re_entry=ReEntry(pause=timedelta(days=7)),
):
    """Offer help after a search that was none, unless the customer finds it by themselves."""

    @workflow.run
    async def run(self, search: SearchAbandoned) -> Outcome:
        """Wait a little, offer help once, see whether the customer finds it."""
        if await self.first_of(ProductAdded, PurchaseMade, timeout=self.parameters.patience):
            return Outcome.converted("found it without help")
        await self.send_first(push(HELP, search), email(HELP, search))
        if await self.first_of(ProductAdded, PurchaseMade, timeout=self.parameters.decide_within):
            return Outcome.converted("found it")
        return Outcome.completed("found nothing")
