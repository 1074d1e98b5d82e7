"""Reads back what happens to the demo's customers, and says each new fact once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

_POLL = 0.25
_QUIET_VERDICTS = {"sending", "sent", "stale"}
"""What the mailbox shows better, or the runtime settles by itself."""

Say = Callable[[str], None]
Json = dict[str, Any]


@dataclass
class Person:
    """A customer of the story, and what is known of them so far.

    Attributes:
        name: what the narrator calls them.
        user_id: unique to this run.
        addresses: where their messages arrive.
        facts: what has been said already.
    """

    name: str
    user_id: str
    addresses: set[str]
    customer_id: str | None = None
    enrollments: list[Json] = field(default_factory=list)
    decisions: list[Json] = field(default_factory=list)
    received: list[Json] = field(default_factory=list)
    facts: set[object] = field(default_factory=set)

    def in_journey(self, journey: str) -> Json | None:
        """Their latest enrollment in a journey."""
        found = [one for one in self.enrollments if one.get("journey") == journey]
        return found[-1] if found else None

    def decided(self, journey: str, verdict: str) -> list[Json]:
        """The messages of a journey that have a verdict now."""
        return [
            one
            for one in self.decisions
            if one.get("journey") == journey and one.get("verdict") == verdict
        ]


class Narrator:
    """Polls the API and the mailbox as a stranger could.

    Args:
        api: a client of the API, with a key.
        mailbox: a client of the development mailbox.
        people: whose story it is.
        say: hears each sentence.
    """

    def __init__(
        self, api: httpx.AsyncClient, mailbox: httpx.AsyncClient, people: list[Person], say: Say
    ) -> None:
        self._api = api
        self._mailbox = mailbox
        self._people = people
        self._say = say

    async def follow(self) -> None:
        """Look again and again; for ever."""
        while True:
            try:
                await self.look()
            except httpx.HTTPError as error:
                self._once(self._people[0], ("http", type(error)), f"cannot read back: {error!r}")
            await asyncio.sleep(_POLL)

    async def look(self) -> None:
        """Look once, and say what is new.

        Raises:
            httpx.HTTPError: the API or the mailbox does not answer as expected.
        """
        for person in self._people:
            await self._read_api(person)
        messages: list[Json] = _ok(await self._mailbox.get("/messages")).json()
        for person in self._people:
            person.received = [one for one in messages if one.get("to") in person.addresses]
            self._tell(person)

    async def _read_api(self, person: Person) -> None:
        if person.customer_id is None:
            found = _ok(await self._api.get("/customers", params={"user_id": person.user_id}))
            customers = found.json()["customers"]
            if not customers:
                return
            person.customer_id = customers[0]["id"]
        base = f"/customers/{person.customer_id}"
        enrollments = _ok(await self._api.get(f"{base}/enrollments")).json()["enrollments"]
        person.enrollments = sorted(enrollments, key=lambda one: str(one["created_at"]))
        person.decisions = _ok(await self._api.get(f"{base}/messages")).json()["messages"]

    def _tell(self, person: Person) -> None:
        for one in person.enrollments:
            self._once(
                person,
                ("entered", one["id"]),
                f"{person.name} enters {_title(one)}, to be followed at",
                one.get("temporal_url"),
            )
        for one in person.decisions:
            if one["verdict"] not in _QUIET_VERDICTS:
                self._once(person, (one["id"], one["verdict"]), _decision(person, one))
        for number, one in enumerate(person.received):
            self._once(person, ("received", number), _message(person, one))
        for one in person.enrollments:
            if one.get("outcome"):
                text = f"{person.name} leaves {_title(one)}: {_outcome(one)}"
                self._once(person, ("left", one["id"]), text)

    def _once(self, person: Person, fact: object, text: str, link: str | None = None) -> None:
        if fact not in person.facts:
            person.facts.add(fact)
            self._say(f"{text}\n       {link}" if link else text)


def _ok(response: httpx.Response) -> httpx.Response:
    return response.raise_for_status()


def _title(enrollment: Json) -> str:
    key = enrollment.get("key")
    return f"{enrollment['journey']} ({key})" if key else str(enrollment["journey"])


def _outcome(enrollment: Json) -> str:
    reason = enrollment.get("outcome_reason")
    return f"{enrollment['outcome']}, {reason}" if reason else str(enrollment["outcome"])


def _decision(person: Person, message: Json) -> str:
    why = message.get("detail") or str(message["reason"]).replace("_", " ")
    what = str(message["template"]).rpartition("/")[2].replace("_", " ")
    if message["verdict"] == "held":
        return f"{person.name}'s {what} is held: {why}"
    if message["verdict"] == "suppressed":
        return f"{person.name}'s {what} is not sent by {message['channel']}: {why}"
    return f"{person.name}'s {what} by {message['channel']} is {message['verdict']}: {why}"


def _message(person: Person, message: Json) -> str:
    words = message.get("subject") or str(message.get("text", "")).strip().partition("\n")[0]
    return f"✉ {message['channel']} to {person.name}: “{words}”"
