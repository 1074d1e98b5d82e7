"""Accepting whole batches at a time; room to update in place what every heard event updates."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parents[1] / "functions"
_REPLACED = ("route", "accept", "move_members")
_HALF_FULL = ("enrollment", "backlog")


def upgrade() -> None:
    _replace("accept_2.sql", "audiences_2.sql")
    for table in _HALF_FULL:
        op.execute(f"alter table {table} set (fillfactor = 50)")


def downgrade() -> None:
    _replace("accept_1.sql", "audiences_1.sql")
    for table in _HALF_FULL:
        op.execute(f"alter table {table} reset (fillfactor)")


def _replace(*names: str) -> None:
    """Install the functions that this version changes, as they are in these files."""
    for function in _REPLACED:
        op.execute(f"drop function {function}")
    for name in names:
        script = (_FUNCTIONS / name).read_text(encoding="utf-8")
        # One each: asyncpg prepares one statement at a time.
        for part in script.split("\ncreate function ")[1:]:
            if part.startswith(tuple(f"{function}(" for function in _REPLACED)):
                op.execute(sa.text(f"create function {part}".replace(":", r"\:")))
