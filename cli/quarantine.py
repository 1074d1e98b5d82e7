"""`sojourn quarantine`: what was rejected, read and replayed from the command line."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.beside import with_parts
from domain.errors import ConfigurationError

if TYPE_CHECKING:
    from api.state import Parts
    from infra.database.quarantine import Kept

app = typer.Typer(no_args_is_help=True, help="Look at rejected events, and replay them.")

Source = Annotated[str | None, typer.Option(help="Only what this source sent.")]
Door = Annotated[
    str | None,
    typer.Option(help="Only what came by segment, cloudevents, webhook:NAME …"),
]
ItemId = Annotated[int, typer.Argument(help="The item's id; `quarantine list` has it.", min=1)]

_WRONG = 1
_PAGE = 100


@app.command("list")
def list_(
    source: Source = None,
    door: Door = None,
    state: Annotated[Literal["waiting", "replayed"], typer.Option(help="Which.")] = "waiting",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
) -> None:
    """Show what was rejected and why, newest first."""

    async def work(parts: "Parts") -> "list[Kept]":
        return await parts.quarantine.page(source=source, door=door, state=state, limit=limit)

    found = with_parts(work)
    for kept in found:
        times = f" ({kept.times} times)" if kept.times > 1 else ""
        typer.echo(
            f"{kept.id}  {kept.received_at:%Y-%m-%d %H:%M}  {kept.source}  {kept.door}  "
            f"{kept.reason}{times}"
        )
    if not found:
        typer.echo("There is nothing.", err=True)


@app.command("show")
def show(item_id: ItemId) -> None:
    """Write one item's body to standard output, as it came."""

    async def work(parts: "Parts") -> "Kept":
        return await _kept(parts, item_id)

    sys.stdout.buffer.write(with_parts(work).body)


@app.command("replay")
def replay(
    item_id: Annotated[int | None, typer.Argument(help="One; else all that wait.", min=1)] = None,
    source: Source = None,
    door: Door = None,
    body: Annotated[
        typer.FileBinaryRead | None, typer.Option(help="The item as it should be; - reads it here.")
    ] = None,
) -> None:
    """Accept items after all, oldest first.

    For when they, a mapping or an event type were put right. Ends with 1 where something is
    still wrong.
    """
    if body is not None and item_id is None:
        raise typer.BadParameter("name the item whose body this is", param_hint="--body")

    async def work(parts: "Parts") -> bool:
        if item_id is not None:
            if body is not None:
                await parts.quarantine.edit(item_id, body.read())
            return await _replay(parts, item_id)
        good, after = True, 0
        while ids := await parts.quarantine.waiting(
            source=source, door=door, after=after, limit=_PAGE
        ):
            for after in ids:
                good = await _replay(parts, after) and good
        return good

    if not with_parts(work):
        raise typer.Exit(_WRONG)


@app.command("delete")
def delete(item_id: ItemId) -> None:
    """Forget an item for good."""

    async def work(parts: "Parts") -> bool:
        await _kept(parts, item_id)
        return await parts.quarantine.delete(item_id)

    with_parts(work)


async def _kept(parts: "Parts", item_id: int) -> "Kept":
    kept = await parts.quarantine.get(item_id)
    if kept is None:
        raise ConfigurationError(f"there is no item {item_id} in quarantine, or no longer")
    return kept


async def _replay(parts: "Parts", item_id: int) -> bool:
    done = await parts.replayer.replay(await _kept(parts, item_id))
    for receipt in done.receipts:
        said = receipt.get("reason") or receipt.get("messageId", "")
        typer.echo(f"{item_id}  {receipt['status']}  {said}")
    return done.done
