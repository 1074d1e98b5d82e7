"""Re-entry while inside, limits of entries a day, entries by schedule and by API call."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parents[1] / "functions"
_LIVE = ["customer_id", "journey", "key"]


def upgrade() -> None:
    op.create_table(
        "entry_count",
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journey", "day", name=op.f("pk_entry_count")),
    )
    op.add_column(
        "refusal", sa.Column("code", sa.Text(), server_default=sa.text("''"), nullable=False)
    )
    op.execute(
        "update refusal set code = case"
        " when reason = 'already enrolled' then 'already_enrolled'"
        " when reason = 'this journey is entered only once' then 'once'"
        " when reason like 'too soon after the exit%' then 'pause' else '' end"
    )
    op.add_column(
        "enrollment",
        sa.Column("several", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.drop_index("uq_enrollment_live", "enrollment")
    _live_index("state = 'live' and not several")
    _install(*_parts("enter_2.sql"))


def downgrade() -> None:
    # What only this version knows cannot be kept: of several at once the newest stays live.
    op.execute(
        "select close_enrollment(id, 'terminated', 'the runtime went back to an older version')"
        " from enrollment e where state = 'live' and exists (select 1 from enrollment n"
        " where n.state = 'live' and n.customer_id = e.customer_id and n.journey = e.journey"
        " and n.key = e.key and n.ordinal > e.ordinal)"
    )
    op.drop_index("uq_enrollment_live", "enrollment")
    _live_index("state = 'live'")
    for function in ("enter", "enter_due", "merge_enrollments", "take_place"):
        op.execute(f"drop function {function}")
    _install(
        *(part for part in _parts("accept_1.sql") if part.startswith("create function enter(")),
        *(p for p in _parts("merge.sql") if p.startswith("create function merge_enrollments(")),
    )
    op.drop_column("enrollment", "several")
    op.drop_column("refusal", "code")
    op.drop_table("entry_count")


def _live_index(where: str) -> None:
    op.create_index(
        "uq_enrollment_live",
        "enrollment",
        _LIVE,
        unique=True,
        postgresql_where=sa.text(where),
    )


def _parts(name: str) -> list[str]:
    """The functions of a file, one each: asyncpg prepares one statement at a time."""
    script = (_FUNCTIONS / name).read_text(encoding="utf-8")
    return ["create " + part for part in script.split("\ncreate ")[1:]]


def _install(*functions: str) -> None:
    for function in functions:
        op.execute(sa.text(function.replace(":", r"\:")))
