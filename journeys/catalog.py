"""The catalog: every journey there is, found by its folder."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import journeys
from domain.enrollments import Entry
from domain.errors import BadParameters, JourneyError, Refused
from domain.events import Event, event_type
from domain.schedules import Schedule
from workflows import Journey, Parameters
from workflows.declaration import Declaration
from workflows.templates import check_template_files


def discover() -> tuple[type[Journey[Any, Any]], ...]:
    """Every journey in `journeys/`: each module or package beside this one that defines any.

    Raises:
        JourneyError: a journey is written wrongly, or one of its templates is not there.
    """
    found: dict[str, type[Journey[Any, Any]]] = {}
    for info in pkgutil.walk_packages(journeys.__path__, "journeys."):
        # By module, not by asking Journey for its subclasses: the sandbox makes its own copies.
        module = importlib.import_module(info.name)
        check_template_files(module, Path(journeys.__path__[0]))
        for value in vars(module).values():
            if _is_journey(value) and value.__module__ == info.name:
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return tuple(sorted(found.values(), key=lambda cls: cls.declaration.name))


def _is_journey(value: object) -> TypeGuard[type[Journey[Any, Any]]]:
    return isinstance(value, type) and issubclass(value, Journey) and "declaration" in vars(value)


class Catalog:
    """The journeys with their parameters, as one process knows them.

    Args:
        classes: the journeys.
        overrides: parameters by journey name, from outside.

    Raises:
        JourneyError: two journeys share a name, or one lacks `@workflow.defn`.
        BadParameters: an override names no journey, no parameter, or has a wrong value.
    """

    def __init__(
        self,
        classes: Iterable[type[Journey[Any, Any]]],
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.workflows = tuple(classes)
        self._parameters: dict[str, Parameters] = {}
        self._by_name: dict[str, type[Journey[Any, Any]]] = {}
        self._started_by: dict[type[Event], list[type[Journey[Any, Any]]]] = {}
        overrides = overrides or {}
        for cls in self.workflows:
            name = cls.declaration.name
            if name in self._parameters:
                raise JourneyError(f"two journeys are called {name!r}: rename one of the classes")
            if not hasattr(cls, "__temporal_workflow_definition"):
                raise JourneyError(f"{cls.__name__}: decorate the class with @workflow.defn")
            self._by_name[name] = cls
            self._parameters[name] = cls.declaration.parameters.with_overrides(
                name, overrides.get(name, {})
            )
        if unknown := sorted(set(overrides) - set(self._parameters)):
            raise BadParameters(
                f"parameters are given for {', '.join(map(repr, unknown))}, but the journeys are "
                f"{', '.join(sorted(self._parameters))}"
            )

    def get(self, name: str) -> Declaration[Any] | None:
        """What the journey of a name declares, or None where there is none."""
        cls = self._by_name.get(name)
        return None if cls is None else cls.declaration

    def parameters(self, name: str) -> Parameters:
        """The parameters with which a journey is entered now."""
        return self._parameters[name]

    def schedules(self) -> dict[str, Schedule]:
        """The schedules by which customers enter, by journey."""
        return {
            name: cls.declaration.schedule
            for name, cls in self._by_name.items()
            if cls.declaration.schedule is not None
        }

    def entry(self, name: str, event: Event) -> Entry | None:
        """The event's wish to start one journey, or None where its predicate declines."""
        return self._by_name[name].declaration.entry(event, self._parameters[name])

    def wish(self, journey: str, event_name: str, properties: Mapping[str, Any]) -> Entry:
        """The wish to start a journey by an event that is given by its name.

        Raises:
            Refused: there is no such journey, or it does not begin by this event.
        """
        cls = self._by_name.get(journey)
        if cls is None:
            raise Refused(f"there is no journey {journey!r}")
        kind = event_type(event_name)
        if kind is None or not issubclass(kind, cls.declaration.triggers):
            raise Refused(f"{journey} does not begin by {event_name}")
        entry = self.entry(journey, kind.of(properties))
        if entry is None:
            raise Refused(f"{journey} does not begin by this {event_name}: its `where` declines")
        return entry

    def entries(self, event: Event) -> tuple[Entry, ...]:
        """The journeys that this event wishes to start."""
        kind = type(event)
        started = self._started_by.get(kind)
        if started is None:
            started = [cls for cls in self.workflows if issubclass(kind, cls.declaration.triggers)]
            self._started_by[kind] = started
        if not started:
            return ()
        wishes = (self.entry(cls.declaration.name, event) for cls in started)
        return tuple(entry for entry in wishes if entry is not None)

    def listened_names(self) -> frozenset[str]:
        """The names of all events that a running journey may hear."""
        return frozenset(kind.name for cls in self.workflows for kind in cls.declaration.listens)

    def heard_names(self) -> frozenset[str]:
        """The names of all events that start a journey or that one listens to."""
        return frozenset(
            kind.name
            for cls in self.workflows
            for kind in (*cls.declaration.triggers, *cls.declaration.listens)
        )
