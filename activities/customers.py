"""Profile look-ups: what is known of a customer, read again at the moment of the question."""

from temporalio import activity

from domain.customers import Customer
from domain.ports import Customers


class CustomerActivities:
    """Questions that a journey asks about its customer."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    @activity.defn(name="look up the customer")
    async def look_up(self, customer_id: str) -> Customer:
        """What is known of the customer now."""
        return await self._customers.get(customer_id)
