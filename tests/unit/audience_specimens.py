"""A journey that asks about segments, in a module that the sandbox may import."""

from datetime import timedelta

from temporalio import workflow

from audiences.purchases import high_value, lapsing, spent
from domain.audiences import about
from domain.events import SegmentEntered, SegmentLeft
from workflows import Journey, Outcome


@workflow.defn
class ComeBack(Journey[SegmentEntered], where=about(lapsing), listens=[SegmentLeft]):
    """Ask a lapsing customer back."""

    @workflow.run
    async def run(self, entered: SegmentEntered) -> Outcome:
        """Leave them a week to come back by themselves."""
        week = timedelta(days=7)
        if await self.wait_for(SegmentLeft, where=about(lapsing), timeout=week):
            return Outcome.converted(f"came back after {entered.evidence['days_since_order']}")
        customer = await self.customer()
        worth = "high" if customer.is_in(high_value) else "low"
        return Outcome.completed(f"{worth}, {customer.value(spent)}")
