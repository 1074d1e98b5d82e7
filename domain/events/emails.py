"""What becomes of our e-mails, and what customers do with them.

Source: Segment, "Spec: Email Events", which has neither what providers say beside it (`reason`,
`bounce_type`, `provider_id`) nor a way back for who has unsubscribed.
"""

from pydantic import BaseModel

from domain.events.base import PART, Event, ReportMark
from domain.events.reports import Bounce, MessageId, Told

_REACHED = ReportMark("email", "email_id", "reached")
_UNSUBSCRIBED = ReportMark("email", "email_id", "unsubscribed")
_EXAMPLE = {"email_id": "msg_1", "email_subject": "We miss you", "campaign_id": "win_back"}


class OfEmail(BaseModel):
    """What every event about an e-mail may say of it. `email_id` is our message's id."""

    model_config = PART

    email_id: MessageId = None
    email_subject: str | None = None
    campaign_id: str | None = None
    campaign_name: str | None = None


class EmailDelivered(Told, OfEmail, Event, report=_REACHED, example=_EXAMPLE):
    """The mail server of a customer took an e-mail."""


class EmailBounced(
    Bounce,
    Told,
    OfEmail,
    Event,
    report=ReportMark("email", "email_id", "bounced"),
    example={**_EXAMPLE, "bounce_type": "hard", "reason": "550 5.1.1 no such mailbox"},
):
    """An e-mail came back: the customer does not have it."""


class EmailOpened(Told, OfEmail, Event, report=_REACHED, example=_EXAMPLE):
    """A customer opened an e-mail."""


class EmailLinkClicked(
    Told,
    OfEmail,
    Event,
    aliases=("Email Clicked",),
    report=_REACHED,
    example={**_EXAMPLE, "link_url": "https://shop.example/lamps"},
):
    """A customer followed a link in an e-mail."""

    link_id: str | None = None
    link_url: str | None = None


class EmailMarkedAsSpam(Told, OfEmail, Event, report=_UNSUBSCRIBED, example=_EXAMPLE):
    """A customer marked an e-mail as spam: whoever does that does not want any more."""


class Unsubscribed(Told, OfEmail, Event, report=_UNSUBSCRIBED, example=_EXAMPLE):
    """A customer does not want our e-mails any more, but for those about a service."""


class Resubscribed(
    OfEmail, Event, report=ReportMark("email", "email_id", "resubscribed"), example=_EXAMPLE
):
    """A customer who had unsubscribed wants our e-mails again."""
