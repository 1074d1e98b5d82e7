"""Looking back: what a customer did before an enrollment began."""

from pydantic import AwareDatetime, BaseModel, Field


class LookBack(BaseModel):
    """Asks for events from before an enrollment's own first one (semantics 6).

    Attributes:
        customer_id: the customer, by whichever id the customer has had.
        enrollment_id: before whose beginning; what it has heard itself is not looked for.
        names: the names of the events, as they are stored.
        since: not those that happened earlier.
        most: how many at most; of more, those that arrived last.
    """

    customer_id: str
    enrollment_id: str
    names: list[str]
    since: AwareDatetime
    most: int = Field(default=100, ge=1, le=1000)
