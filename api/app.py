"""The application: routes, errors, documentation."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import RedirectResponse, Response
from fastapi_offline import FastAPIOffline

from api import (
    calls,
    customers,
    enrollments,
    events,
    health,
    journeys,
    problems,
    quarantine,
    tasks,
    timeline,
    tracking,
    webhooks,
)
from api.cors import TrackingCors
from api.shortcut import Shortcut
from api.state import Parts
from infra.settings import Settings

_DESCRIPTION = """
Post events in the format of Segment's tracking API; read back what became of them.

Every call but `/health`, `/metrics`, `/v1/m` and these pages asks for a key: HTTP Basic, with the
key as user name and no password (`curl -u KEY:`). Who posts may have it in the URL or the body as
`writeKey` instead. Errors are problem details (RFC 9457).
"""


def create_app(parts: Parts, settings: Settings) -> FastAPI:
    """The API over its parts."""
    app = FastAPIOffline(
        title="Sojourn",
        description=_DESCRIPTION,
        version="1",
        redoc_url=None,
        static_url="/docs/static",
    )
    app.state.parts = parts
    app.state.keys = parts.keys
    app.state.settings = settings
    problems.install(app)
    app.add_middleware(Shortcut, endpoints={**tracking.ENDPOINTS, "/events": events.events})
    app.add_middleware(TrackingCors, paths=tracking.ENDPOINTS)
    for module in (
        tracking,
        events,
        webhooks,
        customers,
        timeline,
        journeys,
        enrollments,
        tasks,
        quarantine,
        health,
    ):
        app.include_router(module.router)

    @app.get("/", include_in_schema=False)
    async def _() -> Response:
        """Whoever comes with a browser and no path wants to look around."""
        return RedirectResponse("/docs")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            schema["components"]["schemas"] |= calls.body_schemas()
            schema["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "basic"},
                "writeKey": {"type": "apiKey", "in": "query", "name": "writeKey"},
            }
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    if path.startswith(("/customers", "/journeys", "/quarantine", "/tasks")):
                        operation["security"] = [{"key": []}]
                    # FastAPI promises its own form of 422 for every parameter; ours are problems,
                    # documented where they can occur.
                    if "application/json" in operation["responses"].get("422", {}).get(
                        "content", {}
                    ):
                        del operation["responses"]["422"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"].get("schemas", {}).pop(unused, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app
