"""The kind `regex_transform`: apply the rules of a hook to every text that they are for."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from plugway_builtin_plugins.fields import Field
from plugway_builtin_plugins.parts import Part, entries, parts
from plugway_builtin_plugins.payload_plugin import PayloadPlugin
from plugway_builtin_plugins.regex_transform.settings import Rule, Settings
from plugway_builtin_plugins.regex_transform.templates import Template
from plugway_builtin_plugins.selections import hooks_of
from plugway_builtin_plugins.shapes import Kind
from plugway_builtin_plugins.texts import read_texts
from plugway_builtin_plugins.walk import Leaf, rewrite, rewrite_entries, rewrite_payload
from plugway_hookspecs import Context, Payload

P = TypeVar("P", bound=Payload)


class RegexTransform(PayloadPlugin):
    """Searches and replaces in the texts of requests, results, lists and questions.

    Rules have capture groups, flags, and the hooks and places they are for; they run in order.
    """

    class Config(Settings):
        """What goes under `config:` of a `regex_transform`."""

    def __init__(self, config: Config, *, name: str) -> None:
        rules = [_CompiledRule(rule, index) for index, rule in enumerate(config.rules)]
        hooks = frozenset[str]().union(*(rule.hooks for rule in rules))
        super().__init__(config, name=name, hooks=hooks)
        self._rules = {hook: [rule for rule in rules if hook in rule.hooks] for hook in hooks}

    def inspect(self, payload: P, context: Context, hook: str) -> P | None:
        """Apply the rules of the hook."""
        rules = self._rules[hook]
        texts = set(read_texts([*parts(payload), *entries(payload)]).values)
        if not any(rule.matches(text) for rule in rules for text in texts):
            return None
        editor = _Editor(rules)
        edited = rewrite_entries(rewrite_payload(payload, editor.visit), editor.entry)
        if edited is payload:
            return None
        context.annotate("replaced", dict(editor.counts))
        return edited


class _CompiledRule:
    """A rule that is ready to be applied."""

    def __init__(self, rule: Rule, index: int) -> None:
        self.label = rule.name or f"rules[{index}]"
        self.hooks = hooks_of(rule.hooks)
        self._pattern = rule.compile()
        self._template = Template(rule.replace, self._pattern)
        self._fields = [Field(source) for source in rule.fields]

    def is_for(self, leaf: Leaf) -> bool:
        """Tell whether a text is one that the rule is for."""
        if self._fields:
            return any(field.covers(leaf.path) for field in self._fields)
        return leaf.kind is Kind.TEXT

    def matches(self, text: str) -> bool:
        """Tell whether there is anything to replace in a text."""
        return self._pattern.search(text)

    def apply(self, text: str) -> tuple[str, int]:
        """Return the text after replacing, and how many matches there were."""
        if not self.matches(text):
            return text, 0
        pieces: list[str] = []
        last = matches = 0
        for match in self._pattern.finditer(text):
            pieces += text[last : match.start()], self._template.expand(match, text)
            last, matches = match.end(), matches + 1
        replaced = "".join([*pieces, text[last:]])
        return (text, 0) if replaced == text else (replaced, matches)


class _Editor:
    """One pass over one payload."""

    def __init__(self, rules: Sequence[_CompiledRule]) -> None:
        self._rules = rules
        self.counts: Counter[str] = Counter()

    def visit(self, leaf: Leaf) -> Any:
        """Return what takes a leaf's place; keys and numbers stay as they are."""
        text = leaf.value
        if leaf.is_key or not isinstance(text, str):
            return text
        for rule in self._rules:
            if rule.is_for(leaf):
                text, matches = rule.apply(text)
                if matches:
                    self.counts[rule.label] += matches
        return leaf.value if text == leaf.value else text

    def entry(self, part: Part) -> Any:
        """Edit an entry of a list."""
        return rewrite(part.value, part.shape, self.visit, part.path)
