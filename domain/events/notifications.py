"""What becomes of our push notifications, and what customers do with them.

Source: Segment, "Native Mobile Spec", which has no id of the notification. The app has ours in
the notification's data, as `sojourn_message`.
"""

from pydantic import BaseModel

from domain.events.base import PART, Event, ReportMark
from domain.events.reports import Bounce, MessageId, Told

_REACHED = ReportMark("push", "message_id", "reached")
_EXAMPLE = {"message_id": "msg_1"}


class Campaign(BaseModel):
    """What a notification belongs to."""

    model_config = PART

    name: str | None = None
    medium: str | None = None
    source: str | None = None
    content: str | None = None


class OfNotification(BaseModel):
    """What every event about a notification may say of it. `message_id` is our message's id."""

    model_config = PART

    message_id: MessageId = None
    campaign: Campaign | None = None


class PushNotificationReceived(Told, OfNotification, Event, report=_REACHED, example=_EXAMPLE):
    """A notification reached a customer's device."""


class PushNotificationTapped(
    Told, OfNotification, Event, report=_REACHED, example={**_EXAMPLE, "action": "Accept"}
):
    """A customer tapped a notification, or one of its buttons (`action`)."""

    action: str | None = None


class PushNotificationBounced(
    Bounce,
    Told,
    OfNotification,
    Event,
    report=ReportMark("push", "message_id", "bounced"),
    example={**_EXAMPLE, "bounce_type": "hard", "reason": "Unregistered"},
):
    """A notification did not reach the device."""

    action: str | None = None
