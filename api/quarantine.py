"""`/quarantine`: what was rejected, to be read, put right and replayed."""

import base64
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.convertors import Convertor, register_url_convertor

from api.auth import may
from api.body import read_body
from api.calls import Receipt
from api.intake import Rejection
from api.problems import documented
from api.state import Parts
from domain.errors import NotNow, Refused
from infra.database.grants import Grant
from infra.database.quarantine import Kept

_LARGEST_ID = 2**63 - 1
_MOST_AT_ONCE = 500


class _ItemConvertor(Convertor[int]):
    """A path's item id, so that `/quarantine/replay` is none; short enough to be a number."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("quarantine_id", _ItemConvertor())

router = APIRouter(
    prefix="/quarantine",
    tags=["quarantine"],
    responses=documented(
        {
            401: "No key, or an unknown one.",
            403: "The key does not allow it: reading needs `read`, changing `operate`.",
            422: "A parameter is missing or of the wrong type; it is named.",
            429: "The key's limit. Retry-After says when to try again.",
            503: (
                "The database is away or has enough to do, or journeys are too far behind to begin "
                "more. Retry-After says when to try again."
            ),
        }
    ),
)
_NOT_FOUND = documented({404: "There is no such item, or no longer."})
_DONE_ALREADY = documented({409: "It was replayed already."})
_BODY = documented(
    {
        400: "The body broke off, or is empty.",
        413: "A body that is too large.",
        415: "A content encoding that is not understood.",
    }
)

ItemId = Annotated[int, Path(ge=1, le=_LARGEST_ID, description="The item's id.")]
Source = Annotated[str | None, Query(description="Only what this source sent.")]
Door = Annotated[
    str | None,
    Query(description="Only what came by this door: segment, cloudevents, webhook:NAME, …"),
]


class ItemOut(BaseModel):
    """A rejected item. `times` says how often the very same came."""

    id: int
    source: str
    door: str
    state: Literal["waiting", "replayed"]
    reason: str
    field: str | None
    message_id: str | None
    size: int = Field(description="Bytes of the body.")
    truncated: bool = Field(description="Only the beginning of the body was kept.")
    times: int
    received_at: datetime
    last_at: datetime
    edited_at: datetime | None
    replayed_at: datetime | None


class ItemsOut(BaseModel):
    """Items, newest first; `next` is the `before` of the next page, if there is one."""

    items: list[ItemOut]
    next: int | None


class WholeItemOut(ItemOut):
    """A rejected item as it came: `body` where it is text, else `body_base64`."""

    body: str | None
    body_base64: str | None


class StillWrong(BaseModel):
    """What a replay would trip over."""

    reason: str
    field: str | None


class EditedOut(WholeItemOut):
    """The item as it is now, and what would still be wrong with it."""

    still_wrong: StillWrong | None


class ReplayedOut(BaseModel):
    """Whether all of the item was accepted, and a receipt for each event in it."""

    replayed: bool
    receipts: list[Receipt]


class ReplayedAllOut(BaseModel):
    """How many items were accepted and how many are still wrong.

    `next` is the `after` with which to go on, where there may be more.
    """

    replayed: int
    still_wrong: int
    next: int | None


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_parts)]
_OPERATOR = Depends(may("operate"))
_READ, _OPERATE = [Depends(may("read"))], [_OPERATOR]

Operator = Annotated[Grant, _OPERATOR]


@router.get("", summary="What was rejected", dependencies=_READ)
async def items(
    parts: PartsOf,
    source: Source = None,
    door: Door = None,
    state: Literal["waiting", "replayed"] | None = None,
    before: Annotated[
        int | None, Query(ge=1, le=_LARGEST_ID, description="Only older ones: a page's `next`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 100,
) -> ItemsOut:
    """Rejected items of every door, newest first, without their bodies."""
    if _unstorable(source, door):
        return ItemsOut(items=[], next=None)
    found = await parts.quarantine.page(
        source=source, door=door, state=state, before=before, limit=limit
    )
    return ItemsOut(
        items=[ItemOut(**_shown(kept)) for kept in found],
        next=found[-1].id if len(found) == limit else None,
    )


@router.post("/replay", summary="Replay what waits")
async def replay_all(
    parts: PartsOf,
    operator: Operator,
    source: Source = None,
    door: Door = None,
    after: Annotated[int, Query(ge=0, le=_LARGEST_ID, description="Only later ids.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_AT_ONCE, description="How many at most.")] = 100,
) -> ReplayedAllOut:
    """Replay waiting items, oldest first: after a mapping or an event type was put right.

    Where the rest must wait, those before it are answered for, and `next` goes on after them.
    """
    done = wrong = 0
    if _unstorable(source, door):
        return ReplayedAllOut(replayed=0, still_wrong=0, next=None)
    ids = await parts.quarantine.waiting(source=source, door=door, after=after, limit=limit)
    following = ids[-1] if len(ids) == limit else None
    for index, item_id in enumerate(ids):
        kept = await parts.quarantine.get(item_id)
        if kept is None:
            continue  # somebody else deleted it meanwhile
        try:
            replayed = await parts.replayer.replay(kept, operator)
        except NotNow:
            if not done + wrong:
                raise
            following = ids[index - 1]
            break
        if replayed.done:
            done += 1
        else:
            wrong += 1
    return ReplayedAllOut(replayed=done, still_wrong=wrong, next=following)


@router.get(
    "/{item_id:quarantine_id}", summary="One item", dependencies=_READ, responses=_NOT_FOUND
)
async def one(parts: PartsOf, item_id: ItemId) -> WholeItemOut:
    """One rejected item with its body."""
    return WholeItemOut(**_whole(await _kept(parts, item_id)))


@router.put(
    "/{item_id:quarantine_id}",
    summary="Put an item right",
    dependencies=_OPERATE,
    responses=_NOT_FOUND | _DONE_ALREADY | _BODY,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The item, in the format of the door by which it came.",
            "content": {"application/json": {"schema": {}}},
        }
    },
)
async def edit(request: Request, parts: PartsOf, item_id: ItemId) -> EditedOut:
    """Replace an item's body. It is not accepted yet: replay it."""
    kept = await _kept(parts, item_id)
    body = await read_body(request)
    if not body.strip():
        raise Refused("the body is empty: send the item as it should be")
    if kept.replayed_at is not None or not await parts.quarantine.edit(item_id, body):
        raise HTTPException(409, "it was replayed already")
    kept = await _kept(parts, item_id)
    read = await parts.replayer.read(kept)
    wrong = next((item.error for item in read if isinstance(item, Rejection)), None)
    return EditedOut(
        **_whole(kept),
        still_wrong=None if wrong is None else StillWrong(reason=wrong.reason, field=wrong.field),
    )


@router.post("/{item_id:quarantine_id}/replay", summary="Replay an item", responses=_NOT_FOUND)
async def replay(parts: PartsOf, operator: Operator, item_id: ItemId) -> ReplayedOut:
    """Read and accept an item as if it came now; replaying twice is fine."""
    result = await parts.replayer.replay(await _kept(parts, item_id), operator)
    return ReplayedOut(
        replayed=result.done, receipts=[Receipt.model_validate(r) for r in result.receipts]
    )


@router.delete(
    "/{item_id:quarantine_id}",
    summary="Forget an item",
    dependencies=_OPERATE,
    responses=_NOT_FOUND,
    status_code=204,
    response_class=Response,
)
async def forget(parts: PartsOf, item_id: ItemId) -> None:
    """Delete an item for good."""
    if not await parts.quarantine.delete(item_id):
        raise HTTPException(404, "no such item")


async def _kept(parts: Parts, item_id: int) -> Kept:
    kept = await parts.quarantine.get(item_id)
    if kept is None:
        raise HTTPException(404, "no such item")
    return kept


def _unstorable(*texts: str | None) -> bool:
    return any(text is not None and "\0" in text for text in texts)


def _shown(kept: Kept) -> dict[str, object]:
    return {name: getattr(kept, name) for name in ItemOut.model_fields}


def _whole(kept: Kept) -> dict[str, object]:
    try:
        text: str | None = kept.body.decode()
        encoded = None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(kept.body).decode()
    return {**_shown(kept), "body": text, "body_base64": encoded}
