"""Reports do not make a row grow without end, and unsubscribing by a message always counts."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parents[1] / "functions"


def upgrade() -> None:
    _install("outcomes_2.sql")


def downgrade() -> None:
    _install("outcomes_1.sql", "report(")


def _install(name: str, beginning: str = "") -> None:
    """Install a file's functions, or those whose definition begins so.

    One each: asyncpg prepares one statement at a time.
    """
    script = (_FUNCTIONS / name).read_text(encoding="utf-8")
    for part in script.split("\ncreate function ")[1:]:
        if part.startswith(beginning):
            op.execute(sa.text(f"create or replace function {part}".replace(":", r"\:")))
