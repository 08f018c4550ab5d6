"""The kind `deny_list`: which rules apply where, and what a match means there."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from plugway_builtin_plugins.deny_list.rules import CompiledRule
from plugway_builtin_plugins.deny_list.settings import ContentRule, Settings
from plugway_builtin_plugins.fields import Field
from plugway_builtin_plugins.globs import compile_globs
from plugway_builtin_plugins.parts import Part, entries, parts, show
from plugway_builtin_plugins.patterns import Pattern
from plugway_builtin_plugins.payload_plugin import PayloadPlugin
from plugway_builtin_plugins.selections import EVERYTHING, hooks_of
from plugway_builtin_plugins.shapes import TEXT
from plugway_builtin_plugins.walk import Leaf, first_leaf, rewrite_entries
from plugway_hookspecs import (
    CompletionRequest,
    Context,
    Deny,
    FrozenDict,
    Payload,
    PromptFetch,
    PromptList,
    ResourceFetch,
    ResourceList,
    ResourceSubscribe,
    ResourceTemplateList,
    ToolCall,
    ToolList,
    spellings,
)

P = TypeVar("P", bound=Payload)

_NAMES: Mapping[type[Payload], tuple[str, str]] = {
    ToolCall: ("tools", "name"),
    ToolList: ("tools", "name"),
    PromptFetch: ("prompts", "name"),
    PromptList: ("prompts", "name"),
    ResourceFetch: ("resources", "uri"),
    ResourceSubscribe: ("resources", "uri"),
    ResourceList: ("resources", "uri"),
    ResourceTemplateList: ("resources", "uriTemplate"),
}
"""Which names a payload, or each entry of a list, is denied by, and where they stand in it."""


class DenyList(PayloadPlugin):
    """Denies tools, prompts, resources, argument values and content that the operator names.

    Names go by globs, argument values by globs, words or patterns per argument, and all that is in
    a message by words, globs or patterns. What is denied by name is not listed either.
    """

    class Config(Settings):
        """What goes under `config:` of a `deny_list`."""

    def __init__(self, config: Config, *, name: str) -> None:
        super().__init__(config, name=name, hooks=hooks_of(EVERYTHING))
        self._reason = config.reason
        named = {"tools": config.tools, "prompts": config.prompts, "resources": config.resources}
        self._names: dict[str, list[tuple[str, Pattern]]] = {
            group: [(glob, compile_globs([glob])) for glob in globs]
            for group, globs in named.items()
        }
        self._arguments = [
            (Field(source), CompiledRule(rule, f"arguments.{source}", config.reason))
            for source, rule in config.arguments.items()
        ]
        self._content = [
            (hooks_of(rule.hooks), CompiledRule(rule, place, config.reason))
            for place, rule in _content_rules(config)
        ]

    def inspect(self, payload: P, context: Context, hook: str) -> P | Deny | None:
        """Deny requests and results, and leave entries out of lists."""
        rules = [rule for hooks, rule in self._content if hook in hooks]
        denied = (
            self._by_name(payload) or self._by_argument(payload) or self._by_content(payload, rules)
        )
        if denied is not None or not entries(payload):
            return denied
        return self._hide(payload, context, rules)

    def _by_name(self, payload: Payload) -> Deny | None:
        if isinstance(payload, CompletionRequest):
            group, attribute = "prompts" if payload.of_prompt else "resources", "about"
        elif isinstance(payload, ToolCall | PromptFetch | ResourceFetch | ResourceSubscribe):
            group, attribute = _NAMES[type(payload)]
        else:
            return None
        glob = self._denied(group, getattr(payload, attribute))
        if glob is None:
            return None
        rule = f"{group}: {glob}"
        return _deny(rule, self._reason or f"denied by rule {rule!r}", attribute)

    def _denied(self, group: str, name: object) -> str | None:
        """Return the glob that denies a name."""
        if not isinstance(name, str):
            return None
        names = spellings(name) if group == "resources" else {name}
        for glob, pattern in self._names[group]:
            if any(map(pattern.fullmatch, names)):
                return glob
        return None

    def _by_argument(self, payload: Payload) -> Deny | None:
        where = _arguments(payload) if self._arguments else []
        for field, rule in self._arguments:
            leaf = first_leaf(where, partial(_argument_matches, field, rule))
            if leaf is not None:
                return _deny(rule.label, rule.reason, show(leaf.path))
        return None

    def _by_content(self, payload: Payload, rules: Sequence[CompiledRule]) -> Deny | None:
        where = parts(payload) if rules else []
        for rule in rules:
            leaf = rule.find(where)
            if leaf is not None:
                return _deny(rule.label, rule.reason, show(leaf.path))
        return None

    def _hide(self, payload: P, context: Context, rules: Sequence[CompiledRule]) -> P | None:
        group, key = _NAMES.get(type(payload), ("", ""))

        def review(part: Part) -> Any:
            denied = bool(group) and self._denied(group, part.value.get(key)) is not None
            return None if denied or any(rule.find([part]) for rule in rules) else part.value

        kept = rewrite_entries(payload, review)
        if kept is payload:
            return None
        context.annotate("hidden", len(entries(payload)) - len(entries(kept)))
        return kept


def _argument_matches(field: Field, rule: CompiledRule, leaf: Leaf) -> bool:
    return field.covers(leaf.path[1:]) and rule.matches(leaf)


def _arguments(payload: Payload) -> list[Part]:
    """Return the arguments of a call or a prompt, also while one is still being typed."""
    if isinstance(payload, CompletionRequest):
        known = payload.context.get("arguments")
        typed = {str(payload.argument.get("name")): payload.argument.get("value")}
        given = {**known, **typed} if isinstance(known, FrozenDict) else typed
        return [Part("argument", given, TEXT, ("argument",))]
    if isinstance(payload, ToolCall | PromptFetch):
        return [part for part in parts(payload) if part.attribute == "arguments"]
    return []


def _content_rules(config: Settings) -> Iterator[tuple[str, ContentRule]]:
    """Yield the content rules and their places in the configuration."""
    if config.words:
        yield "words", ContentRule(words=config.words)
    if config.globs:
        yield "globs", ContentRule(globs=config.globs)
    if config.patterns:
        yield "patterns", ContentRule(patterns=config.patterns)
    for index, rule in enumerate(config.content):
        yield f"content[{index}]", rule


def _deny(rule: str, reason: str, path: str) -> Deny:
    return Deny(reason, code="deny_list", details={"rule": rule, "path": path})
