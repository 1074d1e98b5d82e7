"""The OpenAPI document is true: schemathesis tries to prove otherwise, and finds nothing."""

import asyncio
from pathlib import Path
from typing import Any

from api.process import serve_app
from infra.web import listen
from tests.api import running_api
from tests.parts import BIN, free_port

_WITHIN = 900.0
_EXAMPLES = 10
_SEED = 1
# What PostgreSQL cannot store (U+0000) is refused wherever it is, which no schema can say; nor
# which events start which journey, and what their properties are.
_CONFIGURATION = """
[generation]
allow-x00 = false

[auth.openapi.key]
username = "dev"
password = ""

[[operations]]
include-path = "/journeys/{journey}/enrollments"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404, 422]
"""


async def test_schemathesis_finds_nothing(database_url: str, tmp_path: Path) -> None:
    """All its phases, all its default checks, every route there is, on the real server.

    But for the other names of a route, which are the same code and the same description.
    """
    port = free_port()
    async with running_api(database_url) as api:
        await api.identify({"email": "ada@example.com"}, userId="ada")
        await api.track("cart_abandoned", {"cart_id": "c1"}, user="ada")
        with listen("127.0.0.1", port, "SOJOURN_API_PORT") as listener:
            serving = asyncio.create_task(serve_app(api.app, listener, relay=False))
            paths: dict[str, Any] = api.app.openapi()["paths"]
            others = [path for path, operations in paths.items() if _is_another_name(operations)]
            assert len(others) == 9
            # What a tool may post there is said by its hook's file, and by no schema; an alias
            # takes context.traits that its document does not.
            others += ["/webhooks/{name}", "/v1/alias"]
            document = f"http://127.0.0.1:{port}/openapi.json"
            code, said = await _schemathesis(document, tmp_path, others)
            serving.cancel()
            await asyncio.wait([serving])
        operations = sum(map(len, paths.values())) - len(others)
    assert code == 0, said
    assert f"Tested: {operations}\n" in said


def _is_another_name(operations: dict[str, Any]) -> bool:
    return any(o["summary"].startswith("The same as") for o in operations.values())


async def _schemathesis(
    document: str, directory: Path, without: list[str]
) -> tuple[int | None, str]:
    (directory / "schemathesis.toml").write_text(_CONFIGURATION)
    process = await asyncio.create_subprocess_exec(
        str(BIN / "schemathesis"),
        *("run", document, "--seed", str(_SEED)),
        *("--max-examples", str(_EXAMPLES), "--no-shrink"),
        *(argument for path in without for argument in ("--exclude-path", path)),
        *("--suppress-health-check", "too_slow"),  # of making examples, on a busy machine
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), _WITHIN)
    return process.returncode, output.decode()
