"""What an operator can deny."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from plugway_builtin_plugins.deny_list.words import split_phrase
from plugway_builtin_plugins.fields import FieldSource
from plugway_builtin_plugins.globs import Glob
from plugway_builtin_plugins.patterns import RegexSource
from plugway_builtin_plugins.selections import EVERYTHING, HookNames
from plugway_hookspecs import PluginConfig


def _checked_word(word: str) -> str:
    split_phrase(word)
    return word


Word = Annotated[str, AfterValidator(_checked_word)]


class Rule(PluginConfig):
    """What values must not be or contain; one match is enough."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = ""
    """What the client is told the rule is called; its place in the configuration if it has none."""
    reason: str = ""
    """What the client is told instead of that."""
    words: tuple[Word, ...] = ()
    """Words or phrases, found anywhere in a text, without case, not inside longer words."""
    globs: tuple[Glob, ...] = ()
    """Globs (`*`, `?`, `[abc]`) for a whole value, without case; paths and URIs in any spelling."""
    patterns: tuple[RegexSource, ...] = ()
    """Regular expressions in RE2 syntax, found anywhere in a text."""

    @model_validator(mode="after")
    def _denies_something(self) -> Self:
        if not (self.words or self.globs or self.patterns):
            raise ValueError("a rule needs words, globs or patterns")
        return self


class ContentRule(Rule):
    """What must not be anywhere in a message."""

    hooks: HookNames = EVERYTHING
    """Where to look: `requests`, `results`, `lists`, `questions`, `answers`, or hooks by name."""


class Settings(PluginConfig):
    """What goes under `config:` of a `deny_list`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tools: tuple[Glob, ...] = ()
    """Tools, as clients see their names, that may not be called and are not listed."""
    prompts: tuple[Glob, ...] = ()
    """Prompts that may not be used and are not listed."""
    resources: tuple[Glob, ...] = ()
    """Resources, by URI, that may not be read and are not listed; templates too."""
    arguments: Mapping[FieldSource, Rule] = Field(default_factory=dict[FieldSource, Rule])
    """Rules for arguments of tools and prompts, by name or path, such as `files[*].path`."""
    content: tuple[ContentRule, ...] = ()
    """Rules for all that is in a message."""
    words: tuple[Word, ...] = ()
    """Short for a content rule with these words."""
    globs: tuple[Glob, ...] = ()
    """Short for a content rule with these globs."""
    patterns: tuple[RegexSource, ...] = ()
    """Short for a content rule with these patterns."""
    reason: str = ""
    """What the client is told where a rule has no reason of its own."""

    @model_validator(mode="after")
    def _denies_something(self) -> Self:
        names = (self.tools, self.prompts, self.resources)
        values = (self.arguments, self.content, self.words, self.globs, self.patterns)
        if not any(names) and not any(values):
            raise ValueError("nothing is denied: add tools, arguments, words, patterns, ...")
        return self
