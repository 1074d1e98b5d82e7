"""What channels over HTTP share: one client, and one reading of a provider's answer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote

import httpx

from domain.messages import Ambiguous, ProviderAnswer, RejectedForGood, RejectedForNow

Unclear = Callable[[str], Ambiguous | RejectedForNow]
"""What an answer is that leaves open whether the provider has the message: `Ambiguous`, or
`RejectedForNow` where the provider's key makes repeating safe. Takes the detail."""

_NOT_NOW = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
_LONGEST_PAUSE = timedelta(days=1)
_DETAIL_LENGTH = 200


def new_client(timeout: float) -> httpx.AsyncClient:
    """A client for one provider.

    Args:
        timeout: seconds for each of connecting, writing, reading and waiting for the pool.
    """
    return httpx.AsyncClient(
        timeout=timeout,
        follow_redirects=False,
        # The development mailbox is never behind the proxy that the environment may name.
        mounts={"all://127.0.0.1": None, "all://localhost": None},
    )


def header_safe(key: str) -> str:
    """A key as it may stand in a header: percent-encoded but for what is plain ASCII."""
    return quote(key, safe="/:", errors="replace")


async def post(
    client: httpx.AsyncClient,
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    unclear: Unclear,
) -> httpx.Response | ProviderAnswer:
    """Post JSON.

    Returns:
        The response, or what it means that there is none.
    """
    try:
        return await client.post(
            url, content=body, headers={"content-type": "application/json", **headers}
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        return RejectedForGood(f"{url!r} is not a URL that can be called: {error}")
    except (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.LocalProtocolError,
    ) as error:
        return RejectedForNow(f"no connection to the provider: {_words(error)}")
    except httpx.HTTPError as error:
        return unclear(f"the provider did not answer: {_words(error)}")


def rejection(response: httpx.Response, unclear: Unclear) -> ProviderAnswer:
    """What a status outside 2xx means, unless the provider's own rules say otherwise."""
    status = response.status_code
    detail = f"the provider answered {status}: {_excerpt(response)}"
    if status in _NOT_NOW:
        return RejectedForNow(detail, retry_after(response))
    if response.is_redirect:
        return RejectedForNow(
            f"the provider answered {status}, a redirect to "
            f"{response.headers['location'][:_DETAIL_LENGTH]!r}: redirects are not followed, "
            "configure the final URL"
        )
    if response.is_client_error:
        return RejectedForGood(detail)
    return unclear(detail)


def retry_after(response: httpx.Response) -> timedelta | None:
    """How long the provider asks us to wait (seconds or a date), at most a day."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        # Longer digit strings are centuries, and overflow.
        pause = timedelta(seconds=int(value)) if len(value) < 10 else _LONGEST_PAUSE  # noqa: PLR2004
    else:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        pause = at - datetime.now(UTC)
    return min(max(pause, timedelta(0)), _LONGEST_PAUSE)


def _excerpt(response: httpx.Response) -> str:
    return " ".join(response.text[:_DETAIL_LENGTH].split())


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
