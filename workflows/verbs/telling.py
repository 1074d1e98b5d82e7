"""Telling: messages to the customer, and questions to our own people."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from domain.messages import Delivery, Message
from workflows.people import Question, Reply
from workflows.verbs.base import Verbs


class Tells(Verbs):
    """Sends, and asks people."""

    async def send(
        self,
        message: Message,
        /,
        *,
        step: str | None = None,
        objective: str | None = None,
        still: Callable[[], bool | Awaitable[bool]] | None = None,
    ) -> Delivery:
        """Send a message, if the gate lets it pass. As `send_first` with one message.

        Args:
            message: such as `email(NOTE, event)`.
            step: as for `send_first`.
            objective: as for `send_first`.
            still: as for `send_first`.
        """
        return await self.send_first(message, step=step, objective=objective, still=still)

    async def send_first(
        self,
        *messages: Message,
        step: str | None = None,
        objective: str | None = None,
        still: Callable[[], bool | Awaitable[bool]] | None = None,
    ) -> Delivery:
        """Send the first of `messages` whose channel can reach the customer.

        It goes down the list only for reasons that another channel can cure. It parks while
        a hold is open and hears unheard news before anything is decided; both waits can be
        ended by an enclosing `until`, a call to a provider cannot.

        Args:
            messages: in order of preference.
            step: the send's name in the UI and in the ledger; by default the template's,
                numbered from the second on.
            objective: what it is for; the same objective is sent once a customer, whichever
                journey asks.
            still: asked before every decision, so again after each hold: is this message
                still worth sending?

        Returns:
            `Sent`, `Suppressed` with its reason, or `Unknown`.
        """
        return await self._sender.send(messages, step, objective, still)

    async def ask(
        self,
        role: str,
        title: str,
        /,
        *,
        deadline: timedelta,
        choices: Sequence[str] = (),
        details: str = "",
        escalate_to: str | None = None,
        escalate_after: timedelta | None = None,
        tell: Message | None = None,
        step: str | None = None,
    ) -> Reply | None:
        """Ask a person of a role, and wait for the answer; None where nobody gives one.

        The task stands in `GET /tasks` and in the Temporal UI, and is answered by either. An
        enclosing `until` that ends withdraws it.

        Args:
            role: who should answer, such as `sales`.
            title: what is to be done, in a line.
            deadline: how long to wait at most, escalated or not.
            choices: the answers there are; none: any text.
            details: what one must know to do it.
            escalate_to: the role that gets it where the first has not answered in time.
            escalate_after: when; by default after half of the deadline.
            tell: a message that tells the role, such as a webhook, of a topic that nothing
                holds (`Topic.SERVICE`); its template has the task as `event.task`, with `id`,
                `role`, `title`, `details`, `choices`, `deadline`.
                Escalated, it goes to the endpoint of the other role's name.
            step: the step's name.

        Raises:
            ValueError: `tell` could be held by what is open at the customer's.
        """
        if tell is not None and tell.topic.held:
            raise ValueError(
                f"ask tells {role} by {tell.template}, which an open ticket would hold, and the "
                "question with it: its template needs topic=Topic.SERVICE"
            )
        question = Question(
            role, title, details, tuple(choices), deadline, escalate_to, escalate_after, tell
        )
        return await self._people.ask(question, step)
