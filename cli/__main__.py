"""`python -m cli` is the `sojourn` command."""

from cli.main import command

command()
