"""A device that is told by one customer is no other's any more."""

from migrations.installing import install

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_CHANGED = "tell_traits("


def upgrade() -> None:
    install("told_traits_2.sql", _CHANGED)


def downgrade() -> None:
    install("accept_1.sql", _CHANGED)
