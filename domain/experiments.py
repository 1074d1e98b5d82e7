"""Experiments: which variant a customer was dealt, once and for all."""

from typing import Literal

from pydantic import BaseModel

from domain.splits import choose

HELD_OUT, INCLUDED = "held_out", "included"
"""The variants of a holdout."""


class Assignment(BaseModel):
    """Asks for a customer's variant of an experiment.

    Attributes:
        customer_id: the customer, by whichever id the customer has had.
        enrollment_id: who asks.
        journey: in which journey.
        name: the experiment; the same name is the same experiment in every journey.
        weights: the variants in their order, for a customer who has none yet.
        kind: a split between variants, or a holdout that gets nothing, to compare with.
    """

    customer_id: str
    enrollment_id: str
    journey: str
    name: str
    weights: dict[str, float]
    kind: Literal["split", "holdout"]

    def dealt(self, customer_id: str) -> str:
        """The variant that a customer is dealt who has none yet.

        Raises:
            ValueError: the weights make no split.
        """
        return choose(self.weights, self.name, customer_id)


def holdout(share: float) -> dict[str, float]:
    """The weights of a holdout. A larger share keeps everybody whom a smaller one held out.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share is between 0 and 1, not {share}")
    return {HELD_OUT: share, INCLUDED: 1 - share}
