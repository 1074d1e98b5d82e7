"""docs/operate.md and the code say the same."""

import re
from pathlib import Path

from pydantic.fields import FieldInfo

from api.metrics import Metrics
from domain.temporal_names import SEARCH_ATTRIBUTES
from infra.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operate.md").read_text()


def default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def settings_table() -> str:
    rows = [
        f"| `SOJOURN_{name.upper()}` | {default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | |", "|---|---|---|", *rows])


def test_every_setting_is_described_as_the_code_describes_it() -> None:
    assert settings_table() in PAGE, f"docs/operate.md should say:\n\n{settings_table()}"


def test_every_metric_is_described() -> None:
    exported = {
        sample.name
        for metric in Metrics()._registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    } | {"sojourn_messages"}
    described = set(re.findall(r"`(sojourn_\w+)", PAGE))
    assert described == exported


def test_every_search_attribute_is_described() -> None:
    assert all(f"`{name}`" in PAGE for name in SEARCH_ATTRIBUTES)
