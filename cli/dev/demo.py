"""`sojourn demo`: three customers, played over HTTP as a stranger would."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from cli.dev.narrator import Narrator, Person
from cli.dev.parts import api_url
from cli.dev.terminal import Terminal
from infra.settings import Settings

SHORT_WAITS: dict[str, dict[str, Any]] = {
    "abandoned_cart": {"patience": "PT5S", "second_reminder_after": "PT8S"},
    "post_purchase_survey": {"delay": "PT10S", "answer_within": "PT10S"},
}
_WITHIN = 180.0
"""Seconds after which the story is given up; it takes a quarter of a minute."""
_CART = "abandoned_cart"

Expectation = tuple[str, Callable[[], bool]]


class Demo:
    """The story of Ada, Ben and Cleo.

    Args:
        settings: where the API and the mailbox are; journey parameters that somebody set
            are left as they are.

    Attributes:
        settings: with short waits.
    """

    def __init__(self, settings: Settings) -> None:
        quiet: dict[str, Any] = {}
        if "log_level" not in settings.model_fields_set:
            quiet["log_level"] = "warning"  # the story is what should be read
        if not settings.journey_parameters:
            quiet["journey_parameters"] = SHORT_WAITS
        self.settings = settings.model_copy(update=quiet)

    async def play(self, terminal: Terminal) -> bool:
        """Play the story and tell it.

        Returns:
            Whether it went as expected.
        """
        headers = {"user-agent": "sojourn-demo"}
        async with (
            httpx.AsyncClient(
                base_url=api_url(self.settings), auth=("dev", ""), trust_env=False, headers=headers
            ) as api,
            httpx.AsyncClient(base_url=self.settings.mailbox_url, trust_env=False) as mailbox,
        ):
            story = _Story(api, mailbox, terminal)
            try:
                return await story.play()
            except httpx.HTTPError as error:
                terminal.write(terminal.paint("red", f"  The story broke off: {error!r}"))
                return False


class _Story:
    def __init__(
        self, api: httpx.AsyncClient, mailbox: httpx.AsyncClient, terminal: Terminal
    ) -> None:
        run = secrets.token_hex(3)
        self._run = run
        self._api = api
        self._terminal = terminal
        self._mailbox_url = str(mailbox.base_url).rstrip("/")
        self._begun = time.monotonic()
        self.ada = Person("Ada", f"ada-{run}", {f"ada-{run}@example.com"})
        self.ben = Person("Ben", f"ben-{run}", {f"ben-{run}@example.com", f"phone-of-ben-{run}"})
        self.cleo = Person("Cleo", f"cleo-{run}", {f"cleo-{run}@example.com"})
        self._people = [self.ada, self.ben, self.cleo]
        self._narrator = Narrator(api, mailbox, self._people, self._say)
        self._ticket_closed = False
        self._early: set[str] = set()

    def _say(self, text: str, style: str | None = None) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        clock = self._terminal.paint("dim", f"{minutes}:{seconds:02}")
        self._terminal.write(f"  {clock} {self._terminal.paint(style, text) if style else text}")

    async def play(self) -> bool:
        self._begun = time.monotonic()
        await self._introduce()
        following = asyncio.create_task(self._narrator.follow())
        acting = [asyncio.create_task(act()) for act in (self._ada, self._ben, self._cleo)]
        try:
            missing = await self._wait_for_the_end(acting)
        finally:
            for task in (*acting, following):
                task.cancel()
            await asyncio.gather(*acting, following, return_exceptions=True)
        with contextlib.suppress(httpx.HTTPError):
            await self._narrator.look()
        return self._close(missing)

    async def _wait_for_the_end(self, acting: list[asyncio.Task[None]]) -> list[str]:
        """Wait until every expectation is met; answers those that are not."""
        while True:
            for task in acting:
                if task.done():
                    task.result()
            missing = [text for text, met in self._expectations() if not met()]
            if not missing or time.monotonic() - self._begun > _WITHIN:
                return missing
            await asyncio.sleep(0.1)

    def _expectations(self) -> list[Expectation]:
        return [
            ("Ada leaves abandoned_cart at her purchase", lambda: _left(self.ada, "converted")),
            (
                "Ada gets no reminder of what she bought",
                lambda: not self.ada.decided(_CART, "sent"),
            ),
            ("Ben gets two reminders, no more", lambda: len(self.ben.received) == 2),  # noqa: PLR2004
            ("Ben leaves abandoned_cart without a purchase", lambda: _left(self.ben, "completed")),
            ("Cleo hears nothing while her ticket is open", lambda: not self._early),
            (
                "Cleo gets her reminder once the ticket is closed",
                lambda: self._ticket_closed and bool(self.cleo.received),
            ),
        ]

    async def _introduce(self) -> None:
        self._say("Ada, Ben and Cleo come to the shop; Ben has its app on his phone.")
        for person in self._people:
            traits = {"first_name": person.name, "email": f"{person.user_id}@example.com"}
            if person is self.ben:
                traits["push_token"] = f"phone-of-{person.user_id}"
            await self._post("identify", {"userId": person.user_id, "traits": traits})

    async def _ada(self) -> None:
        self._say("Ada leaves a cart with a lamp.", "bold")
        await self._track(self.ada, "cart_abandoned", _cart(self._cart(self.ada)))
        await asyncio.sleep(2.5)
        self._say("Ada comes back and buys the lamp.", "bold")
        order = {"order_id": f"order-{self._run}", **_cart(self._cart(self.ada))}
        await self._track(self.ada, "purchase_made", order)

    async def _ben(self) -> None:
        await asyncio.sleep(0.3)
        self._say("Ben leaves a cart and forgets it.", "bold")
        await self._track(self.ben, "cart_abandoned", _cart(self._cart(self.ben)))

    async def _cleo(self) -> None:
        await asyncio.sleep(0.6)
        ticket = f"ticket-{self._run}"
        self._say("Cleo asks support for help, then leaves a cart.", "bold")
        await self._track(self.cleo, "ticket_opened", {"ticket_id": ticket})
        await self._track(self.cleo, "cart_abandoned", _cart(self._cart(self.cleo)))
        while not self.cleo.decided(_CART, "held"):
            self._early.update(str(one) for one in self.cleo.received)
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        self._early.update(str(one) for one in self.cleo.received)
        self._say("Support closes Cleo's ticket.", "bold")
        self._ticket_closed = True
        await self._track(self.cleo, "ticket_closed", {"ticket_id": ticket})

    def _cart(self, person: Person) -> str:
        return f"cart-{person.user_id}"

    async def _track(self, person: Person, event: str, properties: dict[str, Any]) -> None:
        body = {"userId": person.user_id, "event": event, "properties": properties}
        await self._post("track", body)

    async def _post(self, what: str, body: dict[str, Any]) -> None:
        (await self._api.post(f"/v1/{what}", json=body)).raise_for_status()

    def _close(self, missing: list[str]) -> bool:
        terminal = self._terminal
        terminal.write()
        if missing:
            for text in missing:
                terminal.write(terminal.paint("red", f"  Not as expected: {text}."))
        else:
            told = f"  The story ended as it should, {time.monotonic() - self._begun:.0f} s long:"
            terminal.write(terminal.paint("green", told))
            terminal.write("  the buyer was left alone, the forgetful one reminded twice,")
            terminal.write("  and the one with a ticket only after it was closed.")
        terminal.write(f"  What each of them received: {self._mailbox_url}")
        terminal.write()
        return not missing


def _left(person: Person, kind: str) -> bool:
    enrollment = person.in_journey(_CART)
    return enrollment is not None and enrollment["outcome"] == kind


def _cart(cart_id: str) -> dict[str, Any]:
    lamp = {"product_id": "lamp", "name": "Lamp", "price": 81.5, "quantity": 1}
    return {"cart_id": cart_id, "total": 81.5, "currency": "EUR", "products": [lamp]}
