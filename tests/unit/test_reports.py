"""Which message of ours a text names."""

import pytest

from domain.events import message_named

OURS = "msg_0f8fad5bd9cb469fa16570867728950e"


@pytest.mark.parametrize(
    "text", [OURS, f" {OURS}\n", f"<{OURS}@shop.example>", f"{OURS}@shop.example", f"<{OURS}>"]
)
def test_a_message_is_named_however_the_provider_gives_its_id_back(text: str) -> None:
    assert message_named(text) == OURS


@pytest.mark.parametrize(
    "text",
    ["", "msg_", "msg", f"x{OURS}", f"{OURS} too", f"{OURS}'", "<m@x>", f"<{OURS}@a b>", OURS * 9],
)
def test_what_is_none_of_ours_names_none_however_long_it_is(text: str) -> None:
    assert message_named(text) is None
