"""Questions to the store, the clock, people and other journeys, written wrongly."""

from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel

from domain.events import CartAbandoned, PageAbandoned, PurchaseMade, TicketOpened
from workflows import Journey, Outcome, Parameters, Template, email, push, webhook

DAY = timedelta(days=1)
NOTE = Template("wrong/note", PurchaseMade)


class Points:
    total = 0


class Score(BaseModel):
    value: float = 0


class Patience(Parameters):
    after: timedelta = DAY


class Loyalty(Journey[CartAbandoned | PurchaseMade]):
    async def run(self, event: CartAbandoned | PurchaseMade, /) -> Outcome:
        return Outcome.completed(str(event.event_id))


async def score() -> float:
    return 0.5


class Asks(Journey[PurchaseMade, Patience]):
    async def run(self, event: PurchaseMade, /) -> Outcome:
        await self._messages(event, CartAbandoned(cart_id="c1"))
        # The store.
        color: Literal["red", "blue"] = await self.split("color", {"red": 1, "green": 1})  # error: mypy=dict-item pyright=reportAssignmentType
        match await self.split("color", {"red": 1}):
            case 1:  # error: pyright=reportUnnecessaryComparison
                pass
            case _:
                pass
        await self.split("color", ["red", "blue"])  # error: mypy=arg-type pyright=reportArgumentType
        await self.holdout("a tenth")  # error: mypy=arg-type pyright=reportArgumentType
        await self.when(lambda customer: customer.name == color, timeout=DAY)  # error: mypy=attr-defined pyright=reportAttributeAccessIssue
        _ = self.parameters.before  # error: mypy=attr-defined pyright=reportAttributeAccessIssue
        # The clock.
        await self.sleep(60)  # error: mypy=arg-type pyright=reportArgumentType
        await self.sleep_until(date(2027, 1, 1))  # error: mypy=arg-type pyright=reportArgumentType
        await self.sleep_until_local("09:00")  # error: mypy=arg-type pyright=reportArgumentType
        self.sleep(DAY)  # error: mypy=unused-coroutine pyright=reportUnusedCoroutine
        _ = self.now() + DAY  # error: mypy=operator pyright=reportOperatorIssue
        # Loops and steps.
        async for _ in self.rounds(Points()):  # error: mypy=arg-type pyright=reportArgumentType
            pass
        for _ in self.rounds(Score()):  # error: mypy=attr-defined pyright=reportGeneralTypeIssues
            pass
        text: str = await self.step("score", float, score)  # error: mypy=arg-type pyright=reportAssignmentType
        await self.step("score", str, score)  # error: mypy=arg-type
        await self.step("score", float, score())  # error: mypy=arg-type pyright=reportArgumentType
        await self.step("score", float, lambda: 0.5)  # error: mypy=arg-type,return-value pyright=reportArgumentType
        # Other journeys.
        await self.through(Loyalty, PageAbandoned(), timeout=DAY)  # error: mypy=misc pyright=reportArgumentType
        await self.enter(Loyalty, TicketOpened(ticket_id="t1"))  # error: mypy=misc pyright=reportArgumentType
        await self.enter("loyalty", event)  # error: mypy=arg-type pyright=reportArgumentType
        if await self.ask("sales", text):  # error: mypy=call-arg pyright=reportCallIssue
            return self.hand_over(Loyalty, PageAbandoned())  # error: mypy=misc pyright=reportArgumentType
        ended = await self.through(Loyalty, event, timeout=DAY)
        return ended  # error: mypy=return-value pyright=reportReturnType

    async def _messages(self, purchase: PurchaseMade, cart: CartAbandoned) -> None:
        await self.send(email(NOTE, cart))  # error: mypy=misc pyright=reportArgumentType
        await self.send_first(push(NOTE, purchase), email(NOTE, cart))  # error: mypy=misc pyright=reportArgumentType
        await self.send(webhook(NOTE, purchase))  # error: mypy=call-arg pyright=reportCallIssue
        await self.send(NOTE)  # error: mypy=arg-type pyright=reportArgumentType
        await self.send(email("wrong/note", purchase))  # error: mypy=arg-type pyright=reportArgumentType
        await self.send(email(NOTE, purchase), still=True)  # error: mypy=arg-type pyright=reportArgumentType
        await self.send(email(NOTE, purchase), still=lambda: "yes")  # error: mypy=arg-type,return-value pyright=reportArgumentType
        delivery = await self.send(email(NOTE, purchase))
        _ = delivery.channel  # error: mypy=union-attr pyright=reportAttributeAccessIssue
        self.send(email(NOTE, purchase))  # error: mypy=unused-coroutine pyright=reportUnusedCoroutine
