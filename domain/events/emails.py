"""What customers do with our e-mails.

Source: Segment, "Spec: Email Events". What reports them knows the customer by an id of ours
or by the address.
"""

from pydantic import BaseModel

from domain.events.base import PART, Event

_EXAMPLE = {"email_id": "msg_1", "email_subject": "We miss you", "campaign_id": "win_back"}


class OfEmail(BaseModel):
    """What every event about an e-mail may say of it."""

    model_config = PART

    email_id: str | None = None
    email_subject: str | None = None
    campaign_id: str | None = None
    campaign_name: str | None = None


class EmailOpened(OfEmail, Event, example=_EXAMPLE):
    """A customer opened an e-mail."""


class EmailLinkClicked(
    OfEmail,
    Event,
    aliases=("Email Clicked",),
    example={**_EXAMPLE, "link_url": "https://shop.example/lamps"},
):
    """A customer followed a link in an e-mail."""

    link_id: str | None = None
    link_url: str | None = None
