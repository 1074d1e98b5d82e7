"""What is told of messages after they were handed over completes the ledger."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FUNCTIONS = Path(__file__).parents[1] / "functions"


def upgrade() -> None:
    op.add_column("message", sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "suppression",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("suppressed", sa.Boolean(), nullable=False),
        sa.Column("by_message", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", "address", "customer_id", name=op.f("pk_suppression")),
    )
    _install("outcomes_1.sql")
    _install("accept_3.sql")


def downgrade() -> None:
    # The version before does not know these reasons, and could not read the rows.
    op.execute(
        "update message set reason = case verdict when 'sent' then 'accepted_by_provider'"
        " when 'rejected' then 'rejected_by_provider' else 'no_address' end"
        " where reason in ('delivered', 'bounced', 'unsubscribed')"
    )
    _install("accept_2.sql", "accept(")
    op.execute("drop function report")
    op.execute("drop function tell_settled")
    op.execute("drop function suppress")
    op.execute("drop function unsubscribed")
    op.drop_table("suppression")
    op.drop_column("message", "reported_at")


def _install(name: str, beginning: str = "") -> None:
    """Install a file's functions, or those whose definition begins so.

    One each: asyncpg prepares one statement at a time.
    """
    script = (_FUNCTIONS / name).read_text(encoding="utf-8")
    for part in script.split("\ncreate function ")[1:]:
        if part.startswith(beginning):
            op.execute(sa.text(f"create or replace function {part}".replace(":", r"\:")))
