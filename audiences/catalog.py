"""The catalog: every computed trait and segment there is, found by its module."""

import importlib
import pkgutil

import audiences
from domain.audiences import Audiences, Declared


def discover() -> Audiences:
    """Everything declared in `audiences/`: at the top of any module or package beside this one.

    Raises:
        AudienceError: something is declared wrongly; the sentence says what to write.
    """
    found: dict[int, Declared] = {}
    for info in pkgutil.walk_packages(audiences.__path__, "audiences."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, Declared):
                found[id(value)] = value
    return Audiences(found.values())
