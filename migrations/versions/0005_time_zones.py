"""Journeys hear when the customer's time zone changes."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FUNCTION = Path(__file__).parents[1] / "functions" / "time_zone_1.sql"


def upgrade() -> None:
    op.execute(sa.text(_FUNCTION.read_text(encoding="utf-8").replace(":", r"\:")))
    op.execute(
        "create trigger tell_time_zone after update of time_zone on customer for each row"
        " when (old.time_zone is distinct from new.time_zone) execute function tell_time_zone()"
    )


def downgrade() -> None:
    op.execute("drop trigger tell_time_zone on customer")
    op.execute("drop function tell_time_zone")
