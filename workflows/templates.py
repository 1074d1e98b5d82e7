"""The templates that a journey's module names: each must have its files before anything starts."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from domain.errors import JourneyError
from domain.messages import Template

_CHANNELS = {"email", "push", "webhook"}


def check_template_files(module: ModuleType, root: Path) -> None:
    """Check that every template of a module is there, for each channel that it is sent on.

    What the module's text does not show, such as a channel chosen elsewhere, is found at the
    first send.

    Args:
        module: a journey's.
        root: the folder of the journeys.

    Raises:
        JourneyError: a file is missing; the sentence says where to create it.
    """
    templates = {n: one for n, one in vars(module).items() if isinstance(one, Template)}
    sent = set(_sent(module, templates)) if templates else set()
    for template in templates.values():
        journey, _, name = template.name.partition("/")
        folder = root / journey / "templates"
        for channel in sorted(channel for one, channel in sent if one == template.name):
            file = folder / f"{name}.{channel}.jinja"
            if not file.is_file():
                raise JourneyError(
                    f"{module.__name__}: there is no template {file}: create it, with the blocks "
                    "subject and text (for e-mail also html)"
                )
        if not any(folder.glob(f"{name}.*.jinja")):
            raise JourneyError(
                f"{module.__name__}: there is no template {folder / name}.*.jinja: create one for "
                "each channel, such as email"
            )


def _sent(module: ModuleType, templates: dict[str, Template[Any]]) -> Iterator[tuple[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=channel), args=[ast.Name(id=name), *_]) if (
                channel in _CHANNELS and name in templates
            ):
                yield templates[name].name, channel
