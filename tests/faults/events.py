"""What happens to the customers of the fault test. Nothing of it is in the catalogue."""

from domain.events import Event


class BallPlayed(Event, example={"ends_after": 3}):
    """A ball is played to the rally under way, or begins the next one.

    `ends_after` counts where it begins one: after how many balls the rally is over.
    """

    ends_after: int = 1


class ParcelSent(Event, example={"parcel_id": "p1"}):
    """A parcel is on its way."""

    parcel_id: str


class ParcelMoved(Event, example={"parcel_id": "p1", "arrived": False}):
    """A parcel is seen somewhere, or arrives."""

    parcel_id: str
    arrived: bool = False


class OfferMade(Event, example={"offer_id": "o1", "after": 1.0}):
    """An offer stands, to be told of after so many seconds."""

    offer_id: str
    after: float = 1.0


class OfferWithdrawn(Event, example={"offer_id": "o1"}):
    """An offer does not stand any more."""

    offer_id: str
