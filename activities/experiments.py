"""Experiments: which variant the customer gets."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.experiments import Assignment
from domain.ports import Experiments


class ExperimentActivities:
    """Deals variants to customers."""

    def __init__(self, experiments: Experiments) -> None:
        self._experiments = experiments

    @activity.defn(name="assign a variant")
    async def assign(self, request: Assignment) -> str:
        """The customer's variant, the same one for ever.

        Raises:
            ApplicationError: the weights make no split; the journey's code must be put right.
        """
        try:
            return await self._experiments.assign(request)
        except ValueError as error:
            raise ApplicationError(str(error), type="BadWeights", non_retryable=True) from error
