"""Show a new customer the way, each by what they want to do with us."""

from collections.abc import Mapping
from datetime import time, timedelta
from typing import Literal

from temporalio import workflow

from audiences.personas import teams
from domain.events import InviteSent, PurchaseMade, SignedUp
from workflows import ONCE, Day, Journey, Outcome, Parameters, Template, Topic, Window, email

Persona = Literal["alone", "team"]
Lesson = Literal["first", "second"]

WELCOME = Template("onboarding/welcome", SignedUp, topic=Topic.SERVICE)
LESSONS: Mapping[tuple[Lesson, Persona], Template[SignedUp]] = {
    ("first", "alone"): Template("onboarding/first_steps", SignedUp),
    ("first", "team"): Template("onboarding/invite_colleagues", SignedUp),
    ("second", "alone"): Template("onboarding/short_cuts", SignedUp),
    ("second", "team"): Template("onboarding/working_together", SignedUp),
}
OFFER = Template("onboarding/offer", SignedUp)
HELP = Template("onboarding/help", SignedUp)


class OnboardingParameters(Parameters):
    """What may be changed without touching the code.

    `lesson_at`: the clock where the customer is, on the day after. `office`: when a second lesson
    is read.
    """

    lesson_at: time = time(10)
    between: timedelta = timedelta(days=3)
    office: Window = Window(time(9), time(11), Day.TUESDAY.to(Day.THURSDAY))
    decide_within: timedelta = timedelta(days=7)


@workflow.defn
class Onboarding(
    Journey[SignedUp, OnboardingParameters],
    listens=[InviteSent, PurchaseMade],
    re_entry=ONCE,
):
    """Welcome a new customer and show the way, by persona, until they buy."""

    @workflow.run
    async def run(self, signed_up: SignedUp) -> Outcome:
        """A welcome, two lessons at a good hour, and a last word; a purchase ends it."""
        await self.send(email(WELCOME, signed_up))
        async with self.until(PurchaseMade) as purchase:
            await self.sleep_until_local(self.parameters.lesson_at, day=1)
            # Who invites colleagues by themselves is past the first lesson.
            if await self.wait_for(InviteSent, timeout=timedelta(0)) is None:
                await self._teach("first", signed_up)
                await self.wait_for(InviteSent, timeout=self.parameters.between)
            await self.sleep_until_window(self.parameters.office)
            await self._teach("second", signed_up)

            await self.sleep(self.parameters.decide_within, "let them decide")
            last_word = await self.split("onboarding's last word", {"help": 1, "offer": 1})
            await self.send(email(HELP if last_word == "help" else OFFER, signed_up))
            await self.sleep(self.parameters.decide_within, "let them decide")

        return Outcome.converted("bought") if purchase else Outcome.completed("shown the way")

    async def _teach(self, lesson: Lesson, signed_up: SignedUp) -> None:
        """Send a lesson to the persona that the customer is at this moment."""
        customer = await self.customer()
        persona: Persona = "team" if customer.is_in(teams) else "alone"
        await self.send(email(LESSONS[lesson, persona], signed_up), step=f"{lesson} lesson")
