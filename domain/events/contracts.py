"""Contracts that end on a day unless they are renewed.

The specification that the other families follow has no names for these.
"""

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, Field

from domain.events.base import PART, Event

_EXAMPLE = {"contract_id": "k1"}
_EXAMPLE_TERM = {**_EXAMPLE, "ends_on": "2027-03-31", "plan": "Business", "price": 480}


class OfContract(BaseModel):
    """The contract that an event is about."""

    model_config = PART

    contract_id: str = Field(min_length=1)
    plan: str | None = None


class Term(OfContract):
    """What every event that begins a term says of it. `ends_on` is its last day."""

    ends_on: date
    price: Decimal | None = None
    currency: str | None = None


class ContractSigned(Term, Event, aliases=("Subscription Started",), example=_EXAMPLE_TERM):
    """A customer's contract began."""


class ContractRenewed(Term, Event, aliases=("Subscription Renewed",), example=_EXAMPLE_TERM):
    """A customer's contract goes on for another term."""


class ContractCancelled(
    OfContract,
    Event,
    aliases=("Contract Canceled", "Subscription Cancelled"),
    example={**_EXAMPLE, "reason": "too dear"},
):
    """A customer gave notice: the contract ends with its term."""

    reason: str | None = None
