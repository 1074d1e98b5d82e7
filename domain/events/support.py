"""The help desk: tickets. An open ticket holds promotional messages."""

from pydantic import Field

from domain.events.base import Event, HoldMark


class TicketOpened(
    Event, hold=HoldMark("ticket", "ticket_id", "open"), example={"ticket_id": "t1"}
):
    """A customer asked for help."""

    ticket_id: str = Field(min_length=1)


class TicketClosed(
    Event, hold=HoldMark("ticket", "ticket_id", "close"), example={"ticket_id": "t1"}
):
    """The help desk considers the question answered."""

    ticket_id: str = Field(min_length=1)
