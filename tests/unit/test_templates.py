"""Templates: what they may say, and what they may not leave out."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.customers import Customer
from domain.errors import JourneyError, MissingData
from domain.events import (
    CartAbandoned,
    ContractRenewed,
    ContractSigned,
    Event,
    PurchaseMade,
    SurveyAnswered,
)
from domain.events.contracts import Term
from domain.messages import Message, Rendered, Template, Topic, email
from domain.ports import Renderer
from infra.templates import JinjaRenderer, day, money

ZOE = Customer(
    id="cus_1",
    traits={"first_name": "Zoë 🎈", "vip": None, "items": "trait"},
    time_zone="Europe/Berlin",
    locale="de-DE",
)
NOBODY = Customer(id="cus_2")
CART = CartAbandoned.of(
    {
        "cart_id": "c1",
        "total": 89.5,
        "currency": "EUR",
        "products": [
            {"name": "Lamp <b>", "price": 81.5},
            {"name": "Bulb 💡", "price": 4, "quantity": 2},
        ],
    }
)


def message(template: str, channel: str, data: dict[str, Any]) -> Message:
    return Message(channel=channel, template=template, topic=Topic.SERVICE, data=data)


def shipped(template: str, channel: str, event: Event, customer: Customer = NOBODY) -> Rendered:
    renderer: Renderer = JinjaRenderer()
    return renderer.render(message(template, channel, event.model_dump(mode="json")), customer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "welcome" / "templates").mkdir(parents=True)
    return tmp_path


def written(
    folder: Path,
    text: str,
    data: dict[str, Any] | None = None,
    *,
    subject: str = "s",
    html: str | None = None,
    customer: Customer = ZOE,
) -> Rendered:
    source = f"{{% block subject %}}{subject}{{% endblock %}}{{% block text %}}{text}"
    source += "{% endblock %}" + (f"{{% block html %}}{html}{{% endblock %}}" if html else "")
    (folder / "welcome" / "templates" / "hello.email.jinja").write_text(source)
    return JinjaRenderer(folder).render(message("welcome/hello", "email", data or {}), customer)


def test_only_html_is_escaped(folder: Path) -> None:
    made = written(
        folder, "{{ event.x }}", {"x": "<i>&</i>"}, subject="{{ event.x }}", html="<p>{{ event.x }}"
    )
    assert made == Rendered("<i>&</i>", "<i>&</i>", "<p>&lt;i&gt;&amp;&lt;/i&gt;")


def test_a_subject_is_one_line(folder: Path) -> None:
    made = written(folder, "t", {"x": "a\r\nBcc: b\u2028c"}, subject="\n {{ event.x }}\n d")
    assert made.subject == "a Bcc: b c d"


def test_data_is_not_a_template(folder: Path) -> None:
    assert written(folder, "{{ event.x }}", {"x": "{{ 7 * 7 }}"}).text == "{{ 7 * 7 }}"


def test_a_property_is_never_a_method(folder: Path) -> None:
    data = {"items": "mine", "keys": [{"get": "deep"}]}
    made = written(
        folder, "{{ event.items }} {{ event.keys[0].get }} {{ customer.traits['items'] }}", data
    )
    assert made.text == "mine deep trait"


def test_the_customer_can_be_addressed(folder: Path) -> None:
    text = (
        "{{ customer.id }} {{ customer.traits.first_name | default('there') }} "
        "{{ customer.time_zone }} {{ customer.locale }}"
    )
    assert written(folder, text).text == "cus_1 Zoë 🎈 Europe/Berlin de-DE"
    optional = "{{ customer.traits.first_name | default('there') }}"
    assert written(folder, optional, customer=NOBODY).text == "there"
    null = NOBODY.model_copy(update={"traits": {"first_name": None}})
    assert written(folder, optional, customer=null).text == "there"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("{{ event.total }}", "event.total is missing"),
        ("{{ event.null }}", "event.null is missing"),
        ("{{ event['total'] }}", "event.total is missing"),
        ("{{ event.lines[1].price }}", r"event.lines\[1\].price is missing"),
        ("{{ customer.traits.first }}", "customer.traits.first is missing"),
        ("{{ customer.traits.vip }}", "customer.traits.vip is missing"),
        ("{{ customer.open_holds }}", "customer.open_holds is missing"),
        ("{{ event.a.b.c }}", "event.a is missing"),
        ("{% if event.total %}x{% endif %}", "event.total is missing"),
        ("{% for x in event.total %}x{% endfor %}", "event.total is missing"),
        ("{{ event.total | money }}", "event.total is missing"),
        ("{{ order }}", "'order' is undefined"),
        ("{{ event.word | money }}", "'many' is not an amount"),
    ],
)
def test_what_is_missing_is_named(folder: Path, text: str, missing: str) -> None:
    data = {"null": None, "word": "many", "lines": [{}, {"name": "x"}]}
    with pytest.raises(MissingData, match=missing):
        written(folder, text, data)


def test_data_that_is_missing_in_the_html_alone_is_missing(folder: Path) -> None:
    with pytest.raises(MissingData, match=r"welcome/hello on email: event\.x is missing"):
        written(folder, "t", html="{{ event.x }}")


@pytest.mark.parametrize(
    ("template", "channel"),
    [
        ("../infra/settings", "email"),
        ("welcome/../../x", "email"),
        ("/etc/passwd", "email"),
        ("welcome/hello", "../email"),
        ("welcome/hello", "em/ail"),
        ("welcome", "email"),
        ("welcome/hello/more", "email"),
        ("welcome/hello\n", "email"),
        ("welcome/hello\x00", "email"),
        ("welcome/_shared", "email"),
        ("Welcome/hello", "email"),
        ("", ""),
    ],
)
def test_a_name_from_outside_never_reaches_the_disk(
    folder: Path, template: str, channel: str
) -> None:
    with pytest.raises(JourneyError, match="not a template's name"):
        JinjaRenderer(folder).render(message(template, channel, {}), ZOE)


def test_a_missing_template_says_which_file_to_create(folder: Path) -> None:
    with pytest.raises(JourneyError, match=r"welcome/templates/bye\.sms\.jinja: create it"):
        JinjaRenderer(folder).render(message("welcome/bye", "sms", {}), ZOE)


def test_a_template_that_is_written_wrongly_says_where(folder: Path) -> None:
    with pytest.raises(JourneyError, match=r"hello\.email\.jinja, line 2"):
        written(folder, "\n{% if %}")
    (folder / "welcome" / "templates" / "hello.email.jinja").write_text(
        "{% block text %}t{% endblock %}"
    )
    with pytest.raises(JourneyError, match="no block 'subject'"):
        JinjaRenderer(folder).render(message("welcome/hello", "email", {}), ZOE)


def test_a_missing_import_names_the_template_that_wants_it(folder: Path) -> None:
    with pytest.raises(JourneyError, match=r"hello\.email\.jinja.*welcome/templates/_no\.jinja"):
        written(folder, "{% from 'welcome/templates/_no.jinja' import x %}")


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (81.5, "EUR", "81.50 EUR"),
        ("81.5", "eur", "81.50 EUR"),
        (Decimal("0.005"), " USD ", "0.01 USD"),
        (0.1 + 0.2, "EUR", "0.30 EUR"),
        (1234567, "JPY", "1234567 JPY"),
        ("1.2345", "KWD", "1.235 KWD"),
        (-3, "EUR", "-3.00 EUR"),
        ("1E+3", "EUR", "1000.00 EUR"),
        (5, None, "5.00"),
        (5, "", "5.00"),
    ],
)
def test_money_has_its_currencys_digits(amount: Any, currency: Any, expected: str) -> None:
    assert money(amount, currency) == expected


@pytest.mark.parametrize("amount", ["", "abc", "NaN", "Infinity", None, [], True, "1e999999"])
def test_what_is_no_amount_is_missing(amount: Any) -> None:
    with pytest.raises(MissingData, match="not an amount"):
        money(amount, "EUR")


REMINDERS = [f"abandoned_cart/{name}" for name in ("reminder", "gentle_reminder")]
BARE = [
    CartAbandoned.of({"cart_id": "c"}),
    CartAbandoned.of({"cart_id": "c", "products": [{"sku": "x"}, {}]}),
    CartAbandoned.of({"cart_id": "c", "total": 3, "products": [{"name": "Lamp"}]}),
    CartAbandoned.of({"cart_id": "c", "currency": "EUR", "products": [{"name": "A", "price": 1}]}),
]


@pytest.mark.parametrize("template", REMINDERS)
def test_a_reminder_shows_the_cart(template: str) -> None:
    made = shipped(template, "email", CART, ZOE)
    assert made.html is not None
    for part in (made.text, made.html):
        assert "Zoë 🎈" in part
        assert "81.50 EUR" in part
        assert "2 × Bulb 💡" in part  # noqa: RUF001 - a multiplication sign it is
        assert "4.00 EUR each" in part
        assert "89.50 EUR" in part
    assert "Lamp <b>" in made.text
    assert "Lamp &lt;b&gt;" in made.html
    assert "Lamp <b> and 1 more" in shipped(template, "push", CART, ZOE).text


@pytest.mark.parametrize("template", REMINDERS)
@pytest.mark.parametrize("channel", ["email", "push"])
@pytest.mark.parametrize("cart", BARE)
def test_a_reminder_reads_well_without(template: str, channel: str, cart: CartAbandoned) -> None:
    made = shipped(template, channel, cart)
    words = " ".join((made.subject, made.text, made.html or ""))
    assert made.subject
    assert made.text
    assert "None" not in words
    assert "  " not in made.text
    assert "Total" not in made.text or cart.total is not None
    assert (made.html is not None) == (channel == "email")


def test_the_survey_asks_from_0_to_10() -> None:
    made = shipped("post_purchase_survey/survey", "email", PurchaseMade.of({"order_id": "o<1>"}))
    assert made.html is not None
    assert "o<1>" in made.text
    assert "o&lt;1&gt;" in made.html
    assert "0 to 10" in made.subject


def test_the_care_task_has_the_evidence() -> None:
    answer = {"survey": "post_purchase", "score": 2, "order_id": "o1", "comment": "Late 😞"}
    made = shipped("post_purchase_survey/care_task", "webhook", SurveyAnswered.of(answer), ZOE)
    for evidence in ("cus_1", "Zoë 🎈", "2", "o1", "Late 😞", "Europe/Berlin", "de-DE"):
        assert evidence in made.text
    bare = SurveyAnswered.of({"survey": "post_purchase", "score": 2})
    made = shipped("post_purchase_survey/care_task", "webhook", bare)
    assert "No comment was left." in made.text
    assert "None" not in made.text
    assert made.html is None


@pytest.mark.parametrize("moment", ["2027-03-31", "2027-03-31T22:00:00+02:00"])
def test_a_day_is_said_in_words(moment: str) -> None:
    assert day(moment) == "31 March 2027"


def test_what_is_no_day_is_missing() -> None:
    with pytest.raises(MissingData, match="'soon' is not a date"):
        day("soon")


def test_a_template_may_be_written_for_what_several_events_have_in_common() -> None:
    notice = Template("renewal/notice", Term)
    for event in (
        ContractSigned(contract_id="k1", ends_on=date(2027, 3, 31)),
        ContractRenewed(contract_id="k1", ends_on=date(2028, 3, 31)),
    ):
        assert email(notice, event).data["contract_id"] == "k1"
    with pytest.raises(TypeError, match="is written for Term, not for CartAbandoned"):
        email(notice, CART)  # type: ignore[misc]
