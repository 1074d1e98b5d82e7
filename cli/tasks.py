"""`sojourn tasks`: what journeys ask of people, from the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.beside import with_parts
from domain.tasks import TaskAnswer, TaskState

if TYPE_CHECKING:
    from api.state import Parts
    from infra.database.tables import TaskRow

app = typer.Typer(no_args_is_help=True, help="Look at tasks for people, and answer them.")


@app.command("list")
def list_(
    role: Annotated[str | None, typer.Option(help="Only of this role.")] = None,
    state: Annotated[TaskState, typer.Option(help="Which.")] = "open",
    customer: Annotated[str | None, typer.Option(help="Only about this customer (cus_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
) -> None:
    """Show tasks, newest first."""

    async def work(parts: "Parts") -> "Sequence[TaskRow]":
        return await parts.reading.tasks(role=role, state=state, customer_id=customer, limit=limit)

    found = with_parts(work)
    for task in found:
        until = "" if task.deadline is None else f", until {task.deadline:%Y-%m-%d %H:%M}"
        choices = f" [{' | '.join(task.choices)}]" if task.choices else ""
        typer.echo(
            f"{task.id}  {task.role}{until}  {task.journey}, {task.customer_id}  "
            f"{task.title}{choices}"
        )
    if not found:
        typer.echo("There is nothing.", err=True)


@app.command("answer")
def answer(
    task_id: Annotated[str, typer.Argument(help="The task (tsk_…); `tasks list` has it.")],
    choice: Annotated[str, typer.Argument(metavar="ANSWER", help="One of its choices, or text.")],
    by: Annotated[str, typer.Option(help="Who answers, for the record.")],
    note: Annotated[str | None, typer.Option(help="What else there is to say.")] = None,
) -> None:
    """Hand an answer to the journey that asked."""
    given = TaskAnswer(task_id=task_id, choice=choice, by=by, note=note)

    async def work(parts: "Parts") -> None:
        await parts.answering.answer(given)

    with_parts(work)
    typer.echo(f"{task_id}  answered")
