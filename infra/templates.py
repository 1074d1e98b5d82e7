"""Templates: Jinja files beside the journey that they belong to, one for each channel.

`abandoned_cart/reminder` on the channel `email` is the file
`journeys/abandoned_cart/templates/reminder.email.jinja`. It has the blocks `subject` and `text`,
and for e-mail `html`, in which everything is escaped. It may use

- `event`: the properties of the event that the template was declared with;
- `customer`: `id`, `traits`, `locale`, `time_zone`;
- the filter `money`: `{{ event.total | money(event.currency) }}` is `81.50 EUR`;
- the filter `day`: `{{ event.ends_on | day }}` is `31 March 2027`.

What is not there is an error and never an empty place: a trait that may be missing is written
`{{ customer.traits.first_name | default("there", true) }}`, and a part of the text that may be
missing stands in `{% if event.total is defined %}`. A null counts as not there. What several
templates share is a file whose name begins with `_`, imported inside a block.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
)

from domain.customers import Customer
from domain.errors import JourneyError, MissingData
from domain.messages import Message, Rendered

_JOURNEYS = Path(__file__).parents[1] / "journeys"
_NAME = re.compile(r"([a-z][a-z0-9_]*)/([a-z][a-z0-9_]*)")
_CHANNEL = re.compile(r"[a-z][a-z0-9_]*")

# ISO 4217: the currencies whose minor unit is not a hundredth.
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMN TND"
_DIGITS = dict.fromkeys(_NO_DIGITS.split(), 0) | dict.fromkeys(_THREE_DIGITS.split(), 3)


class _Data(dict[str, Any]):
    """Data from outside that knows where it comes from, so that an error can name it."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        super().__init__({k: _named(f"{path}.{k}", v) for k, v in values.items()})
        self.path = path


def _named(path: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _Data(path, value)
    if isinstance(value, list | tuple):
        return [_named(f"{path}[{i}]", item) for i, item in enumerate(value)]
    return value


class _Environment(Environment):
    """Reads data by its own names only: `event.items` is a property, never a dict's method."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute` in a template."""
        if isinstance(obj, _Data):
            return self._read(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]` in a template."""
        if isinstance(obj, _Data):
            return self._read(obj, argument)
        return super().getitem(obj, argument)

    def _read(self, data: _Data, name: Any) -> Any:
        value = data.get(name)
        return self.undefined(f"{data.path}.{name} is missing") if value is None else value


class JinjaRenderer:
    """Makes a message's words from its template.

    Args:
        root: the folder in which each journey has its own.
    """

    def __init__(self, root: Path = _JOURNEYS) -> None:
        self._root = root
        self._plain = _environment(root, escape=False)
        self._html = _environment(root, escape=True)

    def render(self, message: Message, customer: Customer) -> Rendered:
        """Render.

        Raises:
            MissingData: the template asks for data that is not there; it is named.
            JourneyError: there is no such template, or it is not written rightly.
        """
        path = _path(message.template, message.channel)
        data = {
            "event": _Data("event", message.data),
            "customer": _Data(
                "customer",
                customer.model_dump(include={"id", "traits", "computed", "locale", "time_zone"}),
            ),
        }
        try:
            plain = self._blocks(self._plain, path, ("subject", "text"), data)
            html = self._blocks(self._html, path, ("html",), data)
        except (UndefinedError, MissingData) as error:
            raise MissingData(f"{message.template} on {message.channel}: {error}") from None
        except TemplateNotFound as error:
            raise JourneyError(self._not_found(path, error)) from None
        except TemplateSyntaxError as error:
            file = self._root / (error.name or path)
            raise JourneyError(f"{file}, line {error.lineno}: {error.message}") from None
        for name in ("subject", "text"):
            if name not in plain:
                raise JourneyError(f"{self._root / path} has no block {name!r}: add one")
        return Rendered(
            subject=" ".join(plain["subject"].split()),
            text=re.sub(r"\n{3,}", "\n\n", plain["text"]).strip(),
            html=html["html"].strip() if "html" in html else None,
        )

    def _blocks(
        self, environment: Environment, path: str, names: tuple[str, ...], data: dict[str, Any]
    ) -> dict[str, str]:
        template = environment.get_template(path)
        context = template.new_context(data)
        return {
            name: "".join(template.blocks[name](context))
            for name in names
            if name in template.blocks
        }

    def _not_found(self, path: str, error: TemplateNotFound) -> str:
        if error.name != path:
            return f"{self._root / path} asks for the template {error.name}, which is not there"
        return (
            f"there is no template {self._root / path}: create it, with the blocks subject and "
            "text (for e-mail also html)"
        )


def money(amount: Any, currency: Any = None) -> str:
    """An amount with its currency, as `81.50 EUR`; without one, as `81.50`.

    Args:
        amount: a number, or its text.
        currency: an ISO 4217 code; may be missing.

    Raises:
        MissingData: the amount is none.
    """
    code = "" if currency is None or isinstance(currency, Undefined) else str(currency).strip()
    step = Decimal(1).scaleb(-_DIGITS.get(code.upper(), 2))
    try:
        rounded = Decimal(str(amount)).quantize(step, ROUND_HALF_UP)
    except InvalidOperation:
        raise MissingData(f"{str(amount)[:40]!r} is not an amount of money") from None
    if not rounded.is_finite():
        raise MissingData(f"{str(amount)[:40]!r} is not an amount of money")
    return f"{rounded:f} {code.upper()}".strip()


def day(moment: Any) -> str:
    """A day in words, as `31 March 2027`, of a date or a moment in ISO 8601.

    Raises:
        MissingData: it is none.
    """
    try:
        at = datetime.fromisoformat(str(moment))
    except ValueError:
        raise MissingData(f"{str(moment)[:40]!r} is not a date") from None
    return f"{at.day} {at:%B %Y}"


def _environment(root: Path, *, escape: bool) -> Environment:
    environment = _Environment(
        loader=FileSystemLoader(root),
        undefined=StrictUndefined,
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["day"] = day
    environment.filters["money"] = money
    return environment


def _path(template: str, channel: str) -> str:
    name = _NAME.fullmatch(template)
    if name is None or _CHANNEL.fullmatch(channel) is None:
        raise JourneyError(
            f"{template!r} on {channel!r} is not a template's name: it is <journey>/<template>, "
            "in small letters, digits and _"
        )
    return f"{name[1]}/templates/{name[2]}.{channel}.jinja"
