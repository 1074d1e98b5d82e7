"""Who asks: HTTP Basic with the key as the user name, or a Bearer token.

Who posts events may have the key in the URL or in the body instead: a page that is being left
can send no headers.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request

from api.problems import Unauthorized
from api.state import Parts
from infra.database.grants import Grant, Keys

_LONGEST_KEY = 256
NO_KEY = "no key: use HTTP Basic with the key as user name and no password"


def presented_key(request: Request) -> str:
    """The key that a request presents in its Authorization header.

    Raises:
        Unauthorized: it presents none, or none that can be read.
    """
    header = _authorization(request)
    if header is None:
        raise Unauthorized(NO_KEY)
    return _key_in(header)


def write_key(request: Request) -> str | None:
    """The key to post with; None where only the body can tell it.

    Raises:
        Unauthorized: it cannot be read.
    """
    header = _authorization(request)
    if header is not None:
        return _key_in(header)
    key = request.query_params.get("writeKey")
    return None if key is None else _checked(key)


def _authorization(request: Request) -> str | None:
    # To ask `request.headers` costs as much as all that is done with it.
    headers: list[tuple[bytes, bytes]] = request.scope["headers"]
    return next((v.decode("latin-1") for name, v in headers if name == b"authorization"), None)


def _key_in(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        key = value.strip()
    elif scheme.lower() == "basic":
        try:
            key = base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except ValueError:  # not ASCII, not base64, not UTF-8
            raise Unauthorized("the Authorization header is not readable") from None
    else:
        # Not repeated: it may well be the key itself.
        raise Unauthorized("unknown authorization scheme: use Basic")
    return _checked(key)


def write_key_in(fields: Mapping[str, Any]) -> str:
    """The key in a body.

    Raises:
        Unauthorized: it has none.
    """
    return _checked(fields.get("writeKey"))


def _checked(key: Any) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
        raise Unauthorized(NO_KEY)
    return key


async def authorize(keys: Keys, request: Request, scope: str, key: str | None = None) -> Grant:
    """What the request's key allows.

    Args:
        keys: those there are.
        request: the request.
        scope: what it asks for.
        key: the key, where it has been read already.

    Raises:
        Unauthorized: there is no such key, or it does not allow `scope`.
        NotNow: it has made too many requests, or too many events wait already.
    """
    grant = await keys.grant(key or presented_key(request))
    if grant is None:
        raise Unauthorized("unknown key")
    if scope not in grant.scopes:
        raise Unauthorized(f"this key does not allow {scope!r}", status=403)
    parts: Parts = request.app.state.parts
    parts.admission.request(grant)
    if scope == "write":
        parts.acceptor.check_room()  # before the body is read
    return grant


def may(scope: str) -> Callable[[Request], Awaitable[Grant]]:
    """A dependency: the request's key must allow `scope`."""

    async def allowed(request: Request) -> Grant:
        keys: Keys = request.app.state.keys
        return await authorize(keys, request, scope)

    return allowed
