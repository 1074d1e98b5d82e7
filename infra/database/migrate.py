"""Bring a database to the present schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import ConfigurationError
from infra.database.pool import sqlalchemy_url

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def config(database_url: str) -> Config:
    """Alembic's configuration for one database."""
    configured = Config()
    configured.set_main_option("script_location", str(_MIGRATIONS))
    configured.attributes["url"] = sqlalchemy_url(database_url)
    return configured


def upgrade(database_url: str) -> None:
    """Apply all migrations that are missing. Safe to run twice and from two processes.

    Raises:
        ConfigurationError: the database cannot be reached or refuses.
    """
    try:
        command.upgrade(config(database_url), "head")
    except (OSError, SQLAlchemyError) as error:
        raise ConfigurationError(f"the database cannot be migrated: {error}") from error
