"""Looking back, experiments, tasks for people, one journey entered from another."""

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_REPLACED = ("close_enrollment", "merge_customers")
_NEW = (
    "look_back(text, text, text[], timestamptz, int)",
    "enter_from(text, text, text, jsonb, text, jsonb, boolean)",
    "merge_people(text, text)",
    "tell_parent(text)",
    "withdraw_tasks(text, text)",
)


def upgrade() -> None:
    op.drop_index("ix_event_customer_id_received_at", "event")
    op.create_index(
        op.f("ix_event_customer_id_received_at"),
        "event",
        ["customer_id", "received_at"],
        unique=False,
        postgresql_include=["name", "type", "occurred_at", "id"],
    )
    op.create_table(
        "assignment",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=False),
        sa.Column(
            "weights",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "assigned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_assignment_customer_id")
        ),
        sa.PrimaryKeyConstraint("customer_id", "name", name=op.f("pk_assignment")),
    )
    op.create_table(
        "entrance",
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("child_id", sa.Text(), nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.Column("wait", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("parent_id", "step", name=op.f("pk_entrance")),
        sa.UniqueConstraint("child_id", name=op.f("uq_entrance_child_id")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=False),
        sa.Column("journey", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("choices", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "history",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"], name=op.f("fk_task_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("enrollment_id", "step", name=op.f("uq_task_enrollment_id_step")),
        sa.UniqueConstraint("number", name=op.f("uq_task_number")),
    )
    op.create_index(op.f("ix_task_customer_id"), "task", ["customer_id"], unique=False)
    op.create_index(
        "ix_task_open",
        "task",
        ["role", "number"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    for function in (*_functions("people_1.sql"), *_functions("merge_2.sql")):
        op.execute(sa.text(function.replace(":", r"\:")))


def downgrade() -> None:
    for function in _functions("merge.sql"):
        if re.match(rf"\S+ or replace function ({'|'.join(_REPLACED)})\(", function):
            op.execute(sa.text(function.replace(":", r"\:")))
    for signature in _NEW:
        op.execute(f"drop function {signature}")
    for table in ("task", "entrance", "assignment"):
        op.drop_table(table)
    op.drop_index("ix_event_customer_id_received_at", "event")
    op.create_index(
        op.f("ix_event_customer_id_received_at"),
        "event",
        ["customer_id", "received_at"],
        unique=False,
    )


def _functions(name: str) -> list[str]:
    """The functions of a file, one each: asyncpg prepares one statement at a time."""
    script = (Path(__file__).parents[1] / "functions" / name).read_text(encoding="utf-8")
    return ["create or replace function" + part for part in script.split("\ncreate function")[1:]]
