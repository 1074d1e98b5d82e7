"""Search attributes: what support staff filter the list of journeys by in the Temporal UI."""

from temporalio.common import SearchAttributeKey

CUSTOMER = SearchAttributeKey.for_keyword("SojournCustomer")
JOURNEY = SearchAttributeKey.for_keyword("SojournJourney")
STATE = SearchAttributeKey.for_keyword("SojournState")

ACTIVE = "active"
HELD = "held"
