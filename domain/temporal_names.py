"""Names that Temporal knows us by, and that whoever asks it must know too."""

JOURNEYS = "sojourn-journeys"
"""The task queue of journeys, and of service messages."""

CUSTOMER = "SojournCustomer"
JOURNEY = "SojournJourney"
STATE = "SojournState"

SEARCH_ATTRIBUTES = (CUSTOMER, JOURNEY, STATE)
"""Keyword search attributes: whose journey, which one, and how it stands."""

ENROLL_SEGMENT = "EnrollSegment"
"""The workflow that enrolls a segment when a journey's schedule comes round."""

ACTIVE = "active"
"""How a journey stands that is neither held nor ended."""
