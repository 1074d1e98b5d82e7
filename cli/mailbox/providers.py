"""The simulated HTTP providers: push in FCM v1's shape, and a receiver of webhooks."""

import asyncio
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from cli.mailbox.dropping import drop
from cli.mailbox.faults import Fault, Faults
from cli.mailbox.store import MessageStore, StoredMessage

_FCM_STATUS = {
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    401: ("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    403: ("PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    404: ("NOT_FOUND", None),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    500: ("INTERNAL", "INTERNAL"),
    503: ("UNAVAILABLE", "UNAVAILABLE"),
}
_WITH_RETRY_AFTER = {429, 503}


def create_providers(store: MessageStore, faults: Faults) -> APIRouter:
    """The providers' endpoints."""
    router = APIRouter()
    _add_push(router, store, faults)
    _add_webhooks(router, store, faults)
    return router


def _add_push(router: APIRouter, store: MessageStore, faults: Faults) -> None:
    @router.post("/v1/projects/{project}/messages:send")
    async def push(project: str, request: Request) -> Response:
        """Send a notification (FCM v1)."""
        body = _json(await request.body())
        message = body.get("message") if isinstance(body, dict) else None
        if problem := _problem_of_push(message):
            return _fcm_error(400, problem)
        assert isinstance(message, dict)
        if message["token"].startswith("gone-"):
            return _fcm_error(404, "Requested entity was not found.", "UNREGISTERED")

        def take() -> None:
            notification = message.get("notification") or {}
            key = (message.get("data") or {}).get("sojourn_key")
            store.add(
                StoredMessage.now(
                    "push",
                    message["token"],
                    _word(notification.get("title")),
                    _word(notification.get("body")),
                    key,
                )
            )

        def refuse(status: int) -> Response:
            return _fcm_error(status, "A fault that was asked for.")

        name = f"projects/{project}/messages/{uuid4().hex}"
        return await _answer(
            request, faults.take("push"), take, refuse, JSONResponse({"name": name})
        )


def _add_webhooks(router: APIRouter, store: MessageStore, faults: Faults) -> None:
    @router.post("/webhooks/{name}")
    async def webhook(name: str, request: Request) -> Response:
        """Take a webhook once."""
        raw = await request.body()
        header = request.headers.get("webhook-id")
        key = unquote(header) if header else None
        if name.startswith("gone-"):
            return JSONResponse({"detail": "this endpoint is gone"}, 410)

        def take() -> None:
            if key is not None and store.has_key("webhook", name, key):
                return
            body = _json(raw)
            if not isinstance(body, dict):
                body = {"text": raw.decode(errors="replace")}
            store.add(
                StoredMessage.now(
                    "webhook", name, _word(body.get("subject")), _word(body.get("text")), key
                )
            )

        def refuse(status: int) -> Response:
            return JSONResponse({"detail": "a fault that was asked for"}, status)

        return await _answer(request, faults.take("webhook"), take, refuse, Response(None, 204))


async def _answer(
    request: Request,
    fault: Fault | None,
    take: Callable[[], None],
    refuse: Callable[[int], Response],
    success: Response,
) -> Response:
    if fault is None:
        take()
    elif fault.status is not None:
        response = refuse(fault.status)
        if fault.status in _WITH_RETRY_AFTER:
            response.headers["retry-after"] = str(max(1, math.ceil(fault.seconds)))
        return response
    elif fault.fault == "drop_before_accept":
        return await drop(request)
    elif fault.fault == "drop_after_accept":
        take()
        return await drop(request)
    else:
        take()
        await asyncio.sleep(fault.seconds)
    return success


def _problem_of_push(message: Any) -> str | None:
    if not isinstance(message, dict):
        return "The body needs a message object."
    if not isinstance(message.get("token"), str) or not message["token"]:
        return "The registration token is not a valid FCM registration token"
    for name in ("notification", "data"):
        values = message.get(name) or {}
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            return f"Invalid value at 'message.{name}': every value must be a string."
    return None


def _fcm_error(status: int, message: str, code: str | None = None) -> Response:
    name, usual = _FCM_STATUS.get(status, ("UNKNOWN", "UNSPECIFIED_ERROR"))
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if code := code or usual:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error["details"] = [{"@type": kind, "errorCode": code}]
    return JSONResponse({"error": error}, status)


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _word(value: Any) -> str:
    return "" if value is None else str(value)
