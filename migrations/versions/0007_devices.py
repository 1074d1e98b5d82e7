"""A device that is told by one customer is no other's any more."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parents[1] / "functions"
_CHANGED = "tell_traits("


def upgrade() -> None:
    _install("told_traits_2.sql")


def downgrade() -> None:
    _install("accept_1.sql")


def _install(name: str) -> None:
    """Install the function that this version changes, as it is in a file."""
    script = (_FUNCTIONS / name).read_text(encoding="utf-8")
    for part in script.split("\ncreate function ")[1:]:
        if part.startswith(_CHANGED):
            op.execute(sa.text(f"create or replace function {part}".replace(":", r"\:")))
