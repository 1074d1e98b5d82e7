"""Alembic migrations. `sojourn migrate` applies them."""
