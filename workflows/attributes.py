"""Search attributes: what support staff filter the list of journeys by in the Temporal UI."""

from temporalio.common import SearchAttributeKey

from domain import temporal_names
from domain.temporal_names import ACTIVE

__all__ = ["ACTIVE", "CUSTOMER", "HELD", "STATE"]

CUSTOMER = SearchAttributeKey.for_keyword(temporal_names.CUSTOMER)
STATE = SearchAttributeKey.for_keyword(temporal_names.STATE)

HELD = "held"
