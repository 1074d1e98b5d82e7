"""Accounts, users and trials of a service that businesses use.

Source: Segment, "Spec: B2B SaaS". There the account's id is `context.groupId`, which is kept
with the event's context; journeys see it where the source sends `account_id` as well.
"""

from datetime import datetime

from pydantic import BaseModel

from domain.events.base import PART, Event

_EXAMPLE = {"account_id": "acct_1", "account_name": "Initech"}
_EXAMPLE_TRIAL = {
    "trial_start_date": "2026-03-01T00:00:00Z",
    "trial_end_date": "2026-03-15T00:00:00Z",
    "trial_plan_name": "Business",
}


class OfAccount(BaseModel):
    """The account that an event belongs to."""

    model_config = PART

    account_id: str | None = None
    account_name: str | None = None


class AccountCreated(OfAccount, Event, example=_EXAMPLE):
    """A customer made an account."""


class AccountDeleted(OfAccount, Event, example=_EXAMPLE):
    """A customer's account was deleted."""


class AccountAddedUser(OfAccount, Event, example={"account_id": "acct_1", "role": "Owner"}):
    """A customer became a user of an account."""

    role: str | None = None


class AccountRemovedUser(OfAccount, Event, example={"account_id": "acct_1"}):
    """A customer is no longer a user of an account."""


class SignedUp(OfAccount, Event, example={"type": "organic", "username": "ada"}):
    """A customer signed up."""

    type: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    username: str | None = None
    title: str | None = None


class SignedIn(OfAccount, Event, example={"username": "ada"}):
    """A customer signed in."""

    username: str | None = None


class SignedOut(OfAccount, Event, example={"username": "ada"}):
    """A customer signed out."""

    username: str | None = None


class InviteSent(
    OfAccount, Event, example={"invitee_email": "bob@example.com", "invitee_role": "Owner"}
):
    """A customer invited somebody."""

    invitee_email: str | None = None
    invitee_first_name: str | None = None
    invitee_last_name: str | None = None
    invitee_role: str | None = None


class Trial(OfAccount):
    """When a trial begins and ends, and of what."""

    trial_start_date: datetime | None = None
    trial_end_date: datetime | None = None
    trial_plan_name: str | None = None


class TrialStarted(Trial, Event, example=_EXAMPLE_TRIAL):
    """A customer's trial began."""


class TrialEnded(Trial, Event, example=_EXAMPLE_TRIAL):
    """A customer's trial ended."""
