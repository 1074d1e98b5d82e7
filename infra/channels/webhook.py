"""Tasks and notes for our own people, posted to their endpoints (Standard Webhooks' headers)."""

from datetime import timedelta
from http import HTTPStatus

import httpx
import orjson

from domain.messages import Accepted, Parcel, ProviderAnswer, RejectedForGood, RejectedForNow
from infra.channels.over_http import header_safe, new_client, post, rejection


class WebhookChannel:
    """Posts JSON to the endpoint's URL; `webhook-id` is the send's key.

    A receiver is expected to take a key once, so an answer that got lost is asked for again.

    Args:
        timeout: seconds for each step of a request.
    """

    name: str = "webhook"
    idempotency_life: timedelta | None = timedelta(hours=24)

    def __init__(self, *, timeout: float = 10) -> None:
        self._client = new_client(timeout)

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Post to the endpoint at `parcel.address`."""
        body = {
            "type": "sojourn.task",
            "subject": parcel.content.subject,
            "text": parcel.content.text,
            "data": parcel.data,
            "message_id": parcel.message_id,
            "sent_at": parcel.sent_at,
        }
        headers = {
            "webhook-id": header_safe(parcel.key),
            "webhook-timestamp": str(int(parcel.sent_at.timestamp())),
        }
        response = await post(
            self._client,
            parcel.address,
            body=orjson.dumps(body, default=str),
            headers=headers,
            unclear=RejectedForNow,
        )
        if not isinstance(response, httpx.Response):
            return response
        if response.is_success:
            return Accepted(headers["webhook-id"])
        if response.status_code == HTTPStatus.GONE:
            return RejectedForGood("the endpoint says that it is gone", address_is_dead=True)
        return rejection(response, RejectedForNow)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()
