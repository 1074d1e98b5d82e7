"""Expressions over a webhook's payload: which events it stands for.

The expressions are CEL, the Common Expression Language, with its usual extensions for strings,
lists and numbers. They see `body`, the payload; `headers`, by name in lower case; and `item`,
one element of what `each` names.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cel
import orjson
from cel.stdlib import STDLIB_FUNCTIONS, add_stdlib_to_context

from api.body import check_depth
from domain.errors import Refused

_MOST_EVENTS = 1_000
_LONGEST_ID = 120
_MILLISECONDS = 100_000_000_000
_LARGEST_INT = 2**63
_LONG_NUMBER = re.compile(rb"\d{19}")

_MISSING = (KeyError, IndexError)
_UNFIT = (ArithmeticError, RuntimeError, TypeError, ValueError)
_BOUND = re.compile(r"\.(?:all|exists|exists_one|filter|map)\(\s*([A-Za-z_]\w*)\s*,")
_TYPES = {"bool", "bytes", "double", "duration", "dyn", "int", "list", "map"} | {
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
}
_FUNCTIONS = (
    _TYPES
    | STDLIB_FUNCTIONS.keys()
    | {"contains", "endsWith", "has", "matches", "size", "startsWith", "optional.of"}
    | {"getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"}
    | {"getMilliseconds", "getMinutes", "getMonth", "getSeconds", "optional.none", "value"}
    | {"hasValue", "or", "orValue", "math.greatest", "math.least"}
)


class Expression:
    """One CEL expression, compiled.

    Raises:
        ValueError: it is none, or asks for what there is not; one sentence.
    """

    def __init__(self, source: str) -> None:
        try:
            self._program = cel.compile(source)
        except ValueError as error:
            first = str(error).partition("ERROR: <input>:")[2].partition("\n")[0]
            raise ValueError(f"not an expression ({first or error})") from None
        bound = set(_BOUND.findall(source))
        for name in self._program.variables():
            if name not in {"body", "headers", "item"} | bound | _TYPES:
                raise ValueError(f"there is no {name!r}: there are body, headers and item")
        for name in self._program.functions():
            if name[:1].isalpha() and name not in _FUNCTIONS:
                raise ValueError(f"there is no function {name!r}")

    def value(self, scope: "Scope") -> Any:
        """What it gives as JSON, or None where it asks for something that is missing.

        Raises:
            Refused: it cannot be worked out, such as a text taken for a number.
        """
        try:
            return _json(self._program.execute(scope.context))
        except _MISSING:
            return None
        except _UNFIT as error:
            # A part of something null is as missing as a part of something absent, but CEL
            # calls it a wrong type. Without the nulls it is the one or the other.
            try:
                self._program.execute(scope.without_nulls())
            except _MISSING:
                return None
            except _UNFIT:
                pass
            raise Refused(str(error).partition("\n")[0].partition(". ")[0]) from None


class Scope:
    """What expressions see."""

    def __init__(self, body: Any, headers: Mapping[str, str]) -> None:
        self._variables: dict[str, Any] = {"body": body, "headers": dict(headers)}
        self.context = cel.Context(self._variables)
        add_stdlib_to_context(self.context)

    def at(self, item: Any) -> None:
        """Go to one element of a list."""
        self._variables["item"] = item
        self.context.add_variable("item", item)

    def without_nulls(self) -> cel.Context:
        """The same without what is null."""
        bare = {name: _bare(value) for name, value in self._variables.items()}
        context = cel.Context(bare)
        add_stdlib_to_context(context)
        return context


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it came.

    Attributes:
        headers: by name in lower case, without those that carry secrets.
        body: the payload's text.
    """

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Mapped:
    """One event that a payload stands for. Its customer has at least one of the four."""

    name: str
    message_id: str
    user_id: str | None
    anonymous_id: str | None
    message: str | None
    email: str | None
    time: str | None
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a payload stands for an event, and what the event says."""

    name: str
    when: Expression | None
    each: Expression | None
    id: Expression | None
    time: Expression | None
    properties: Expression | Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class Mapper:
    """Turns payloads into events.

    Attributes:
        delivery_id: what tells one payload from another; None: its text does.
        customer: expressions for `user_id`, `anonymous_id`, `message`, `email`, tried in this
            order.
        rules: each gives no event, one, or one for each element of a list.
    """

    delivery_id: Expression | None
    time: Expression | None
    customer: Mapping[str, Expression]
    rules: Sequence[Rule]

    def events(self, delivery: Delivery) -> list[Mapped | Refused]:
        """The events that a payload stands for, and what is wrong with those that it tried.

        Raises:
            Refused: the payload is not JSON, or is nested too deep.
        """
        try:
            body = orjson.loads(delivery.body)
        except orjson.JSONDecodeError as error:
            raise Refused(f"the payload is not JSON: {error}") from None
        check_depth(body, "payload")
        if _LONG_NUMBER.search(delivery.body):
            body = _exact(body)
        scope = Scope(body, delivery.headers)
        named = self._delivery_id(scope, delivery)
        done: list[Mapped | Refused] = []
        for number, rule in enumerate(self.rules, 1):
            done.extend(self._apply(rule, number, scope, f"{named}/{rule.name}", done))
            if len(done) > _MOST_EVENTS:
                raise Refused(f"the payload stands for more than {_MOST_EVENTS} events", status=413)
        return done

    def _delivery_id(self, scope: Scope, delivery: Delivery) -> str:
        if self.delivery_id is None:
            return hashlib.sha256(delivery.body).hexdigest()
        named = _id(_field("delivery.id", self.delivery_id, scope))
        if named is None:
            raise Refused("the payload has no id where one is expected", field="delivery.id")
        if len(named) <= _LONGEST_ID:
            return named
        return f"sha256:{hashlib.sha256(named.encode()).hexdigest()}"

    def _apply(
        self, rule: Rule, number: int, scope: Scope, name: str, before: Sequence[object]
    ) -> Iterator[Mapped | Refused]:
        """What one rule makes of a payload, or of each element of a list in it."""
        count = sum(isinstance(one, Mapped) and one.name == rule.name for one in before)
        items: Any = [None]
        try:
            if rule.each is not None:
                items = _field("each", rule.each, scope)
                if not isinstance(items, list | None):
                    raise Refused("each must give a list", field="each")
        except Refused as error:
            yield _of_rule(rule, number, error)
            return
        for item in items or ():
            if rule.each is not None:
                scope.at(item)
            try:
                if _holds(rule, scope):
                    count += 1
                    yield self._event(rule, scope, f"{name}/{count}" if count > 1 else name)
            except Refused as error:
                yield _of_rule(rule, number, error)

    def _event(self, rule: Rule, scope: Scope, message_id: str) -> Mapped:
        who = {kind: _named(kind, source, scope) for kind, source in self.customer.items()}
        if not any(who.values()):
            tried = " or ".join(self.customer)
            raise Refused(f"the payload names no customer: no {tried}", field="customer")
        said = rule.time or self.time
        return Mapped(
            name=rule.name,
            message_id=(rule.id and _id(rule.id.value(scope))) or message_id,
            user_id=who.get("user_id"),
            anonymous_id=who.get("anonymous_id"),
            message=who.get("message"),
            email=who.get("email"),
            time=None if said is None else _time(said, scope),
            properties=_properties(rule.properties, scope),
        )


def _of_rule(rule: Rule, number: int, error: Refused) -> Refused:
    field = f"events.{number}.{error.field}" if error.field in {"each", "when"} else error.field
    return Refused(f"{rule.name}: {error.reason}", field=field)


def _holds(rule: Rule, scope: Scope) -> bool:
    if rule.when is None:
        return True
    held = _field("when", rule.when, scope)
    if held is not None and not isinstance(held, bool):
        raise Refused("when must be true or false", field="when")
    return held is True


def _properties(said: Expression | Mapping[str, Expression], scope: Scope) -> Mapping[str, Any]:
    if isinstance(said, Expression):
        whole = _field("properties", said, scope)
        if not isinstance(whole, dict | None):
            raise Refused("properties must give an object", field="properties")
        return whole or {}
    given = {name: _field(f"properties.{name}", one, scope) for name, one in said.items()}
    return {name: value for name, value in given.items() if value is not None}


def _field(name: str, expression: Expression, scope: Scope) -> Any:
    try:
        return expression.value(scope)
    except Refused as error:
        raise Refused(f"{name}: {error.reason}", field=name) from None


def _named(kind: str, expression: Expression, scope: Scope) -> str | None:
    value = _field(f"customer.{kind}", expression, scope)
    found = _id(value)
    if value is not None and found is None and value != "":
        raise Refused(f"customer.{kind} must be a text or a number", field=f"customer.{kind}")
    return found


def _id(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _time(expression: Expression, scope: Scope) -> str | None:
    value = _field("time", expression, scope)
    if isinstance(value, str | None):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1_000 if value > _MILLISECONDS else value
        try:
            return datetime.fromtimestamp(seconds, UTC).isoformat()
        except (OverflowError, ValueError, OSError):
            pass
    raise Refused("time must be ISO 8601 or a Unix time", field="time")


def _json(value: Any) -> Any:
    """What CEL gives, as JSON has it; what is null is left out."""
    if isinstance(value, cel.OptionalValue):
        return _json(value.value()) if value.has_value() else None
    if isinstance(value, dict):
        pairs = ((str(name), _json(one)) for name, one in value.items())
        return {name: one for name, one in pairs if one is not None}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - that is how NaN is known
        raise Refused("it gives no number")
    if isinstance(value, str | int | float | bool | None):
        return value
    raise Refused(f"it gives a {type(value).__name__}, which JSON does not have")


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(one) for name, one in value.items() if one is not None}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _exact(value: Any) -> Any:
    """Numbers that CEL would round become texts: long ids are what they mostly are."""
    if isinstance(value, dict):
        return {name: _exact(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    if isinstance(value, int) and not -_LARGEST_INT <= value < _LARGEST_INT:
        return str(value)
    return value
