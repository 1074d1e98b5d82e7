"""What the parts of the authoring API share."""

from typing import Any, ClassVar

from activities.customers import CustomerActivities
from domain.customers import Customer
from domain.events import Event
from workflows.checks import undeclared
from workflows.declaration import Declaration
from workflows.enrollment import Enrollment
from workflows.parameters import Parameters
from workflows.people import People
from workflows.sending import Sender
from workflows.short_calls import short_call


class Verbs:
    """A part of `Journey`, which puts the parts together.

    Attributes:
        declaration: what the class declares.
        parameters: this enrollment's parameters, as fixed at its entry.
    """

    declaration: ClassVar[Declaration[Any]]
    parameters: Parameters
    _enrollment: Enrollment
    _sender: Sender
    _people: People

    @property
    def customer_id(self) -> str:
        """Whose journey this is; another id after a merge."""
        return self._enrollment.customer_id

    def _check_declared(self, *events: type[Event]) -> None:
        for event in events:
            if event not in self.declaration.keeps:
                raise undeclared(type(self), event)

    async def _look_up(self) -> Customer:
        return await self._enrollment.call(
            short_call(CustomerActivities.look_up, self.customer_id, "look up the customer")
        )
