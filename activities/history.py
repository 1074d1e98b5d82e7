"""Looking back: what the customer did before the enrollment began."""

from temporalio import activity

from domain.events import Envelope
from domain.history import LookBack
from domain.ports import History


class HistoryActivities:
    """Questions that a journey asks about the time before it."""

    def __init__(self, history: History) -> None:
        self._history = history

    @activity.defn(name="look back")
    async def look_back(self, request: LookBack) -> list[Envelope]:
        """What the customer did before, in the order in which it happened."""
        return await self._history.look_back(request)
