"""Installing the database's functions, as they are in the files of `functions/`."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

_FUNCTIONS = Path(__file__).parent / "functions"


def install(name: str, beginning: str = "") -> None:
    """Install a file's functions, or those whose definition begins so.

    One each: asyncpg prepares one statement at a time.
    """
    script = (_FUNCTIONS / name).read_text(encoding="utf-8")
    for part in script.split("\ncreate function ")[1:]:
        if part.startswith(beginning):
            op.execute(sa.text(f"create or replace function {part}".replace(":", r"\:")))
