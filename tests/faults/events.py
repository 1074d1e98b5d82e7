"""What happens to the customers of the fault test. Nothing of it is in the catalogue.

`ref` names an event among those of all sources.
"""

from domain.events import Event


class BallPlayed(Event, example={"ref": "shop/m1", "ends_after": 3}):
    """A ball is played to the rally under way, or begins the next one.

    `ends_after` counts where it begins one: after how many balls the rally is over.
    """

    ref: str
    ends_after: int = 1


class ParcelSent(Event, example={"ref": "shop/m1", "parcel_id": "p1"}):
    """A parcel is on its way."""

    ref: str
    parcel_id: str


class ParcelMoved(Event, example={"ref": "shop/m1", "parcel_id": "p1", "arrived": False}):
    """A parcel is seen somewhere, or arrives."""

    ref: str
    parcel_id: str
    arrived: bool = False


class OfferMade(Event, example={"ref": "shop/m1", "offer_id": "o1", "after": 1.0}):
    """An offer stands, to be told of after so many seconds."""

    ref: str
    offer_id: str
    after: float = 1.0


class OfferWithdrawn(Event, example={"ref": "shop/m1", "offer_id": "o1"}):
    """An offer does not stand any more."""

    ref: str
    offer_id: str
