"""Journey parameters: what may be changed without touching a journey's code."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from domain import local_time
from domain.errors import BadParameters
from domain.messages import Cap


class Parameters(BaseModel):
    """Durations, caps and the like, with defaults; fixed for an enrollment at its entry.

    Durations are given as ISO 8601 (`PT1H`, `P1D`) when overridden from outside.

    Attributes:
        cap: the pressure limit that the journey's promotional messages respect.
        time_zone: where a customer is of whom no time zone is known; an IANA name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cap: Cap = Field(default_factory=Cap)
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if local_time.time_zone(name) is None:
            raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Berlin")
        return name

    @classmethod
    def with_overrides(cls, journey: str, overrides: Mapping[str, Any]) -> Self:
        """The defaults with some values replaced.

        Args:
            journey: whose parameters they are.
            overrides: values by name.

        Raises:
            BadParameters: an override has no such name or a wrong value; both are named.
        """
        try:
            return cls.model_validate(overrides)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, first["loc"]))
            known = ", ".join(sorted(cls.model_fields))
            raise BadParameters(
                f"parameters of journey {journey!r}: {path}: {first['msg']} (it has: {known})"
            ) from None
