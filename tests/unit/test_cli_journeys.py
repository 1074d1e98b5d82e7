"""`sojourn journeys`: what a journey is made of."""

from tests.unit.test_cli import sojourn


def test_a_journey_is_shown_with_what_it_is_made_of() -> None:
    listed = sojourn("journeys", "list")
    assert (
        "abandoned_cart            Remind a customer of a cart left for an hour." in listed.stdout
    )
    shown = sojourn(
        "journeys",
        "show",
        "abandoned_cart",
        SOJOURN_JOURNEY_PARAMETERS='{"abandoned_cart": {"patience": "PT10S"}}',
    )
    for said in (
        "starts by     cart_abandoned",
        "waits for     purchase_made",
        "self.until(PurchaseMade, where=this_cart)",
        "patience = PT10S",
        "abandoned_cart/reminder  promotional, with the data of CartAbandoned",
    ):
        assert said in shown.stdout
    unknown = sojourn("journeys", "show", "no_such")
    assert unknown.returncode == 1
    assert "there is no journey 'no_such'; there are abandoned_cart" in unknown.stderr
