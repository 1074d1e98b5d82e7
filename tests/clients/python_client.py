"""Posts calls with a stock library for Python. What to post comes as JSON on standard input."""

import importlib
import json
import re
import sys
from datetime import datetime
from typing import Any

_MODULES = {
    "segment-analytics-python": "segment.analytics.client",
    "rudder-sdk-python": "rudderstack.analytics.client",
}


def _argument(name: str, value: Any) -> tuple[str, Any]:
    if name == "timestamp":
        value = datetime.fromisoformat(value)
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name), value


def _main() -> None:
    job = json.load(sys.stdin)
    errors: list[str] = []
    client = importlib.import_module(_MODULES[job["library"]]).Client(
        job["key"],
        host=job["host"],
        on_error=lambda error, _: errors.append(str(error)),
        **job.get("options", {}),
    )
    for call in job["calls"]:
        kind = call.pop("type")
        getattr(client, kind)(**dict(_argument(name, value) for name, value in call.items()))
    client.shutdown()
    print(json.dumps({"errors": errors}))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    _main()
