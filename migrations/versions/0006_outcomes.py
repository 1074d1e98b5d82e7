"""What is told of messages after they were handed over completes the ledger."""

import sqlalchemy as sa
from alembic import op

from migrations.installing import install

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


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
    install("outcomes_1.sql")
    install("accept_3.sql")


def downgrade() -> None:
    # The version before does not know these reasons, and could not read the rows.
    op.execute(
        "update message set reason = case verdict when 'sent' then 'accepted_by_provider'"
        " when 'rejected' then 'rejected_by_provider' else 'no_address' end"
        " where reason in ('delivered', 'bounced', 'unsubscribed')"
    )
    install("accept_2.sql", "accept(")
    op.execute("drop function report")
    op.execute("drop function tell_settled")
    op.execute("drop function suppress")
    op.execute("drop function unsubscribed")
    op.drop_table("suppression")
    op.drop_column("message", "reported_at")
