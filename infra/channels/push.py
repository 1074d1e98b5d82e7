"""Push notifications over HTTP in the shape of FCM v1."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from domain.messages import (
    Accepted,
    Ambiguous,
    Parcel,
    ProviderAnswer,
    RejectedForGood,
    RejectedForNow,
)
from infra.channels.over_http import new_client, post, rejection


class PushChannel:
    """Sends to a device's token. The provider takes no idempotency key.

    Args:
        base_url: the provider, without `/v1/…`.
        project: the provider's name for our project.
        token: sent as `Authorization: Bearer`, where given.
        timeout: seconds for each step of a request.
    """

    name: str = "push"
    idempotency_life: timedelta | None = None

    def __init__(
        self, base_url: str, project: str, *, token: str | None = None, timeout: float = 10
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/projects/{quote(project, safe='')}/messages:send"
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = new_client(timeout)

    async def deliver(self, parcel: Parcel) -> ProviderAnswer:
        """Hand a notification to the provider."""
        body = {
            "message": {
                "token": parcel.address,
                "notification": {"title": parcel.content.subject, "body": parcel.content.text},
                # Ours, so that an ambiguous send can be recognised on the device's side.
                "data": {"sojourn_key": parcel.key, "sojourn_message": parcel.message_id},
            }
        }
        response = await post(
            self._client,
            self._url,
            body=orjson.dumps(body),
            headers=self._headers,
            unclear=Ambiguous,
        )
        if not isinstance(response, httpx.Response):
            return response
        if response.is_success:
            return Accepted(str(_json_object(response).get("name", "")))
        return _refusal(response)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


def _refusal(response: httpx.Response) -> ProviderAnswer:
    codes = set(_error_codes(response))
    if "UNREGISTERED" in codes:
        return RejectedForGood("the device's token is not registered any more", True)
    if "SENDER_ID_MISMATCH" in codes:
        return RejectedForGood("the device's token belongs to another sender")
    if response.status_code in {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
    }:
        # Our credentials, project or URL are wrong: the message is not, and can go later.
        return RejectedForNow(
            f"the push provider answered {response.status_code}: look at SOJOURN_PUSH_URL, "
            "SOJOURN_PUSH_PROJECT and SOJOURN_PUSH_TOKEN"
        )
    return rejection(response, Ambiguous)


def _error_codes(response: httpx.Response) -> Iterator[str]:
    error = _json_object(response).get("error")
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(code := detail.get("errorCode"), str):
            yield code


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
