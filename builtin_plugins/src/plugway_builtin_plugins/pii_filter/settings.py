"""What an operator can say about personal data."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from plugway_builtin_plugins.patterns import RegexSource, compile_pattern
from plugway_builtin_plugins.selections import EVERYTHING, HookNames
from plugway_hookspecs import PluginConfig

Strategy = Literal["redact", "partial", "hash", "remove", "block"]
"""What happens to a finding."""


def _plain(value: Any) -> Any:
    """Read what YAML 1.1 makes of a bare `off`."""
    return "off" if value is False else value


def _consuming(source: str) -> str:
    if compile_pattern(source).search(""):
        raise ValueError(f"pattern {source!r} matches the empty text, and so everywhere")
    return source


Choice = Annotated[Strategy | Literal["off"] | None, BeforeValidator(_plain)]


class Types(PluginConfig):
    """A strategy, or `off`, per type; the default strategy for those that are not mentioned."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    api_key: Choice = None
    """Keys with well-known prefixes, JWTs, private keys, bearer tokens, passwords in URLs."""
    email: Choice = None
    """E-mail addresses."""
    iban: Choice = None
    """International bank account numbers with valid check digits."""
    credit_card: Choice = None
    """Card numbers of 13 to 19 digits with a valid check digit."""
    ssn: Choice = None
    """US social security numbers that can have been issued."""
    passport: Choice = None
    """Passport numbers, where passports are mentioned."""
    date_of_birth: Choice = None
    """Dates, where birth is mentioned."""
    phone: Choice = None
    """Telephone numbers."""
    ip: Choice = None
    """IPv4 and IPv6 addresses."""


class CustomType(PluginConfig):
    """Personal data that only the operator knows about."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """What the type is called in labels (`[EMPLOYEE_ID]`) and in the record."""
    pattern: RegexSource
    """A regular expression in RE2 syntax; where it has groups, what the first one finds counts."""
    strategy: Strategy | None = None
    """What happens to a finding; the default strategy if it isn't said."""

    _no_empty_matches = field_validator("pattern")(_consuming)


class Settings(PluginConfig):
    """What goes under `config:` of a `pii_filter`."""

    model_config = ConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    mask: Strategy = "redact"
    """What happens to findings of types that `types` does not mention."""
    types: Types = Types()
    """A strategy, or `off`, per type."""
    custom: tuple[CustomType, ...] = ()
    """More types."""
    allow: tuple[RegexSource, ...] = ()
    """Findings that one of these patterns matches completely are left alone."""
    hooks: HookNames = EVERYTHING
    """Where to look: `requests`, `results`, `lists`, `questions`, `answers`, or hooks by name."""
    uris: Literal["block", "mask", "ignore"] = "block"
    """What a finding in a URI or in the names and values of a schema does.

    Masked ones stand for something else or nothing: `block` denies such a request and hides such an
    entry of a list, and masks in results, where nothing goes by them.
    """
    key: Annotated[SecretStr, Field(min_length=16)] | None = None
    """Key of strategy `hash`, at least 16 characters; without one, a new one per process."""

    @field_validator("custom")
    @classmethod
    def _distinct(cls, custom: tuple[CustomType, ...]) -> tuple[CustomType, ...]:
        for name in _repeated(each.name for each in custom):
            raise ValueError(f"the type {name!r} exists already: choose another name")
        return custom

    def strategies(self) -> dict[str, Strategy]:
        """Return the strategy of each type that is looked for."""
        chosen: dict[str, Strategy] = {
            each.name: each.strategy or self.mask for each in self.custom
        }
        for name in Types.model_fields:
            strategy: Strategy | Literal["off"] = getattr(self.types, name) or self.mask
            if strategy != "off":
                chosen[name] = strategy
        return chosen


def _repeated(names: Iterator[str]) -> Iterator[str]:
    seen = set(Types.model_fields)
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
