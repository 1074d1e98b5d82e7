"""Every status that the OpenAPI document promises for these doors is one that is answered."""

from infra.database.keys import create_key
from tests.api import Api, door_to, running_api, slow_key

BAD = b'{"userId":"u1","event":"cart_abandoned"}'


async def _every_way(api: Api, method: str, path: str, keys: dict[str, str], body: bytes) -> None:
    for key in (None, keys["other"], "dev"):
        await _once(api, method, path, key, body)


async def _once(api: Api, method: str, path: str, key: str | None, body: bytes) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    await api.send(method, path, content=body, headers=headers)


async def test_every_status_of_the_quarantine_is_answered(database_url: str) -> None:
    async with door_to(database_url) as door, running_api(database_url, door=door.url) as api:
        keys = {"other": await create_key(api.pool, "shop", ["write"])}
        for number in range(3):
            await api.post("/v1/track", BAD + b" " * number)
        ids = [i["id"] for i in (await api.get("/quarantine")).json()["items"]]
        calls = [
            ("GET", "/quarantine", b""),
            ("GET", "/quarantine/{}", b""),
            ("PUT", "/quarantine/{}", b'{"userId":"u1","event":"fine","messageId":"m"}'),
            ("PUT", "/quarantine/{}", b""),
            ("PUT", "/quarantine/{}", b"x" * 5_000_000),
            ("POST", "/quarantine/{}/replay", b""),
            ("PUT", "/quarantine/{}", b"{}"),
            ("POST", "/quarantine/replay", b""),
            ("DELETE", "/quarantine/{}", b""),
            ("DELETE", "/quarantine/{}", b""),
        ]
        slow = await slow_key(api)
        await api.get("/customers?user_id=u1", key=slow)
        for method, path, body in calls:
            await _once(api, method, path.format(ids[0]), slow, body)
            await _every_way(api, method, path.format(ids[0]), keys, body)
            if "{}" in path:
                for item in ("999999", "0"):
                    await _every_way(api, method, path.format(item), keys, body)
            else:
                await _every_way(api, method, path + "?limit=0", keys, body)
        headers = {"Authorization": "Bearer dev", "Content-Encoding": "br"}
        await api.send("PUT", f"/quarantine/{ids[1]}", content=b"{}", headers=headers)
        await door.shut()
        for method, path, body in calls:
            await _every_way(api, method, path.format(ids[1]), keys, body)
        assert _told(api, "/quarantine") - api.seen == set()


def _told(api: Api, *prefixes: str) -> set[tuple[str, str, int]]:
    return {
        (method, path, int(status))
        for path, operations in api.app.openapi()["paths"].items()
        if path.startswith(prefixes)
        for method, operation in operations.items()
        for status in operation["responses"]
    }
