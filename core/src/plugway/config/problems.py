"""Say in one sentence what pydantic found wrong, without ever quoting the value.

A value may be a secret, so a message is built from the kind of the error and from what the model
allows; only what the file itself has is quoted (`${TOKEN}`, not what it stands for), and only for
the few keys that are a choice between words.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

_OWN = "plugway_"
_EXPECTED = {
    "string_type": "expected a string",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "dict_type": "expected a mapping (`key: value`)",
    "model_type": "expected a mapping (`key: value`)",
    "model_attributes_type": "expected a mapping (`key: value`)",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "set_type": "expected a list",
    "frozen_set_type": "expected a list",
    "path_type": "expected a path",
    "none_required": "expected nothing",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must look like {pattern}",
    "string_too_short": "needs at least {min_length} character(s)",
    "string_too_long": "has more than {max_length} characters",
    "too_short": "needs at least {min_length} item(s)",
    "too_long": "has more than {max_length} items",
    "byte_size": "expected a size such as 512KiB or 4MiB",
    "byte_size_unit": "expected a size such as 512KiB or 4MiB",
    "union_tag_invalid": "expected one of {expected_tags}",
}
_BUILT_IN = frozenset(get_args(ErrorType))


@dataclass(frozen=True, slots=True)
class Problem:
    """One of pydantic's errors, with what the file has at the place before references.

    `secret` tells that a reference was replaced at the place or below it.
    """

    details: ErrorDetails
    model: type[BaseModel]
    raw: Any = None
    secret: bool = False

    @property
    def context(self) -> Mapping[str, Any]:
        """What pydantic tells about the constraint."""
        return self.details.get("ctx", {})


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` or nothing."""
    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def sentence(problem: Problem) -> str:
    """Describe a problem: what is wrong, and what would be right."""
    kind = problem.details["type"]
    context = problem.context
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown_key(problem)
    if kind in {"enum", "literal_error"}:
        return f"expected {context['expected']}{_quoted(problem, _choices(context))}"
    if kind.startswith(_OWN):
        choices = context.get("choices")
        quoted = "" if choices is None else _quoted(problem, choices)
        return problem.details["msg"] + quoted
    if kind in _EXPECTED:
        return _EXPECTED[kind].format(**context) + _hint(problem)
    return _foreign(problem)


def _foreign(problem: Problem) -> str:
    """Repeat what somebody else's validator says, unless a secret could be in it."""
    kind = problem.details["type"]
    quotes_nothing = kind in _BUILT_IN and "error" not in problem.context
    if problem.secret and not quotes_nothing:
        return "is refused; the reason is not shown because it could quote a replaced `${...}`"
    text = problem.details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return " ".join(text.split())


def _quoted(problem: Problem, choices: Iterable[str]) -> str:
    if not isinstance(problem.raw, str):
        return ""
    return f", not {problem.raw!r}{suggest(problem.raw, choices)}"


def _choices(context: Mapping[str, Any]) -> list[str]:
    return str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


def _hint(problem: Problem) -> str:
    number = isinstance(problem.raw, int | float)
    if problem.details["type"] == "string_type" and number:
        return ": put it in quotes"
    return ": nothing is written there" if problem.raw is None else ""


def _unknown_key(problem: Problem) -> str:
    *place, key = problem.details["loc"]
    known = _keys(problem.model, place)
    return f"unknown key{suggest(str(key), known) or _listed(known)}"


def _listed(known: list[str]) -> str:
    return f"; known are {', '.join(sorted(known))}" if 0 < len(known) <= 20 else ""


def _keys(model: type[BaseModel], place: Iterable[str | int]) -> list[str]:
    """Return the keys that the model allows at a place, as far as its JSON Schema tells."""
    try:
        schema = model.model_json_schema(by_alias=True)
    except PydanticInvalidForJsonSchema:
        return []
    definitions = schema.get("$defs", {})
    options = [schema]
    for key in place:
        options = [step for option in options for step in _step(option, key, definitions)]
    return [key for option in options for key in option.get("properties", {})]


def _step(
    schema: dict[str, Any], key: str | int, definitions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    child: Any = schema.get("items" if isinstance(key, int) else "properties", {})
    if isinstance(key, str):
        child = child.get(key, schema.get("additionalProperties", {}))
    options: list[dict[str, Any]] = [] if isinstance(child, bool) else _options(child)
    for option in options:
        name = str(option.get("$ref", "")).rpartition("/")[2]
        yield definitions.get(name, option)


def _options(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf") or schema.get("oneOf") or [schema])
