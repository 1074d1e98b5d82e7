"""What every door does with what it has read: accept the good, keep the bad, say which is which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from api.admission import Admission
from api.metrics import Metrics
from api.recipients import NamesMessage
from domain.errors import Refused, Unavailable
from infra.database.accept import Acceptor, Incoming
from infra.database.addresses import known_by_message
from infra.database.grants import Grant
from infra.database.pool import Pool
from infra.database.quarantine import Quarantine, Rejected

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where items come from.

    Attributes:
        grant: what they came with.
        door: what reads them, such as `segment:track`.
        received_at: when they came.
        envelope: what else the door needs to read one of them again.
    """

    grant: Grant
    door: str
    received_at: datetime
    envelope: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """One item that could not be taken.

    Attributes:
        error: why.
        body: the item as it came; empty where nothing of it was read.
        message_id: the source's own id of it, where it could be read.
    """

    error: Refused
    body: bytes
    message_id: str | None = None


class Intake:
    """Where every door hands over what it has read.

    Args:
        pool: the ledger, which knows whom our messages went to.
        admission: says not now.
        acceptor: takes the good.
        quarantine: keeps the bad.
        metrics: counts both.
    """

    def __init__(
        self,
        pool: Pool,
        admission: Admission,
        acceptor: Acceptor,
        quarantine: Quarantine,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._admission = admission
        self._acceptor = acceptor
        self._quarantine = quarantine
        self._metrics = metrics

    async def accept(
        self, origin: Origin, read: Sequence[Incoming | Rejection]
    ) -> list[dict[str, Any]]:
        """Keep what was rejected, accept the rest in order, and give a receipt for each.

        Raises:
            NotNow: they are not admitted at the moment; nothing is kept, nothing acknowledged.
            Unavailable: the database does not answer; nothing is acknowledged.
        """
        self._admission.events(origin.grant, len(read))
        read = await self.find(read)
        good = [item for item in read if isinstance(item, Incoming)]
        if good:
            self._acceptor.check(good)
        await self._keep(origin, [item for item in read if isinstance(item, Rejection)])
        new = await self._acceptor.accept(good)
        self._metrics.accepted(new)
        return receipts(read, new)

    async def find(self, read: Sequence[Incoming | Rejection]) -> Sequence[Incoming | Rejection]:
        """What was read; what names a message of ours and nobody else is about whom it went to.

        Raises:
            Unavailable: the database does not answer.
        """
        asked = [
            item.error
            if isinstance(item, Rejection) and isinstance(item.error, NamesMessage)
            else None
            for item in read
        ]
        if not any(asked):
            return read
        known = await known_by_message(
            self._pool, {error.message_id for error in asked if error is not None}
        )
        return [
            item
            if error is None or error.message_id not in known
            else error.about(known[error.message_id])
            for item, error in zip(read, asked, strict=True)
        ]

    async def reconsider(self, origin: Origin, rejection: Rejection) -> Incoming:
        """The one item of a request, which could not be taken as it is: see `find`; else keep it.

        Raises:
            Refused: it cannot be taken.
            NotNow: the key has brought too many events; nothing is kept.
            Unavailable: the database does not answer.
        """
        (item,) = await self.find([rejection])
        if isinstance(item, Incoming):
            return item
        await self.keep(origin, [item])
        raise item.error

    async def keep(self, origin: Origin, rejections: Sequence[Rejection]) -> None:
        """Keep items of a request that had nothing good.

        Raises:
            NotNow: the key has brought too many events; nothing is kept.
            Unavailable: the database does not answer.
        """
        self._admission.events(origin.grant, len(rejections))
        await self._keep(origin, rejections)

    async def _keep(self, origin: Origin, rejections: Sequence[Rejection]) -> None:
        """Count rejected items, log the first, and keep them in quarantine.

        A stock client does not read receipts: whoever runs this must see what it got wrong.
        It comes before the good items of the same request: should the database be away,
        nothing of the request was taken, and the client sends all of it again.
        """
        if not rejections:
            return
        self._metrics.rejected(len(rejections))
        first = rejections[0].error
        _log.warning(
            "events were rejected",
            source=origin.grant.source,
            door=origin.door,
            count=len(rejections),
            first=first.reason,
            field=first.field,
        )
        try:
            await self._quarantine.keep([_rejected(origin, r) for r in rejections if r.body])
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - logged; a fault of ours must not cost the good items beside it
            _log.exception("rejected events could not be kept")


def _rejected(origin: Origin, rejection: Rejection) -> Rejected:
    return Rejected(
        source_id=origin.grant.source_id,
        door=origin.door,
        envelope=origin.envelope,
        body=rejection.body,
        reason=rejection.error.reason,
        field=rejection.error.field,
        message_id=rejection.message_id,
        received_at=origin.received_at,
    )


def receipts(read: Sequence[Incoming | Rejection], new: Sequence[bool]) -> list[dict[str, Any]]:
    """A receipt for each item; `new` has one element for each that was read."""
    fresh = iter(new)
    given: list[dict[str, Any]] = []
    for item in read:
        receipt: dict[str, Any]
        if isinstance(item, Incoming):
            status = "accepted" if next(fresh) else "duplicate"
            receipt = {"status": status, "messageId": item.message_id}
        else:
            receipt = {"status": "rejected", "reason": item.error.reason}
            if item.message_id is not None:
                receipt["messageId"] = item.message_id
            if item.error.field is not None:
                receipt["field"] = item.error.field
        given.append(receipt)
    return given
