"""What an operator can have replaced."""

from typing import Literal, Self

from pydantic import ConfigDict, field_validator, model_validator

from plugway_builtin_plugins.fields import FieldSource
from plugway_builtin_plugins.patterns import Pattern, compile_pattern
from plugway_builtin_plugins.regex_transform.templates import Template
from plugway_builtin_plugins.selections import EVERYTHING, HookNames
from plugway_hookspecs import PluginConfig

_FLAGS = {"ignorecase": "i", "multiline": "m", "dotall": "s"}


class Rule(PluginConfig):
    """One search and replace."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    pattern: str
    """A regular expression in RE2 syntax."""
    replace: str
    r"""What takes the place of each match; `\1` and `\g<name>` stand for what groups matched."""
    name: str = ""
    """What the rule is called in the record; its place in the configuration if it has none."""
    hooks: HookNames = EVERYTHING
    """Where: `requests`, `results`, `lists`, `questions`, `answers`, or hooks by name."""
    fields: tuple[FieldSource, ...] = ()
    """Places, such as `content[*].text` or `**.phone`; every text if there are none.

    URIs, and the names and values of schemas, are rewritten only where a field covers them.
    """
    flags: tuple[Literal["ignorecase", "multiline", "dotall"], ...] = ()
    """Compare without case; let `^` and `$` match at lines; let `.` match line ends."""

    @model_validator(mode="after")
    def _can_be_compiled(self) -> Self:
        Template(self.replace, self.compile())
        return self

    def compile(self) -> Pattern:
        """Return the pattern with its flags."""
        plain = compile_pattern(self.pattern)
        flags = "".join(_FLAGS[flag] for flag in self.flags)
        return compile_pattern(f"(?{flags}){self.pattern}") if flags else plain


class Settings(PluginConfig):
    """What goes under `config:` of a `regex_transform`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rules: tuple[Rule, ...]
    """What to search and replace, in this order; each rule sees what the one before it left."""

    @field_validator("rules")
    @classmethod
    def _replaces_something(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        if not rules:
            raise ValueError("there are no rules: nothing would be replaced")
        return rules
