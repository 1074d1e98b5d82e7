"""Who asks: HTTP Basic with the key as the user name, or a Bearer token."""

import base64
import binascii
from collections.abc import Awaitable, Callable

from fastapi import Request

from api.problems import Unauthorized
from infra.database.keys import Grant, Keys

_LONGEST_KEY = 256


def presented_key(request: Request) -> str:
    """The key that a request presents.

    Raises:
        Unauthorized: it presents none, or none that can be read.
    """
    header = request.headers.get("authorization")
    if header is None:
        raise Unauthorized("no key: use HTTP Basic with the key as user name and no password")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        key = value.strip()
    elif scheme.lower() == "basic":
        try:
            key = base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized("the Authorization header is not readable") from None
    else:
        raise Unauthorized(f"unknown authorization scheme {scheme[:20]!r}: use Basic")
    if not key or len(key) > _LONGEST_KEY:
        raise Unauthorized("no key: use HTTP Basic with the key as user name and no password")
    return key


async def authorize(keys: Keys, request: Request, scope: str) -> Grant:
    """What the request's key allows.

    Raises:
        Unauthorized: there is no such key, or it does not allow `scope`.
    """
    grant = await keys.grant(presented_key(request))
    if grant is None:
        raise Unauthorized("unknown key")
    if scope not in grant.scopes:
        raise Unauthorized(f"this key does not allow {scope!r}", status=403)
    return grant


def may(scope: str) -> Callable[[Request], Awaitable[Grant]]:
    """A dependency: the request's key must allow `scope`."""

    async def allowed(request: Request) -> Grant:
        keys: Keys = request.app.state.keys
        return await authorize(keys, request, scope)

    return allowed
