"""Decide whether a plugin is asked about an operation: `when` compiled to one predicate."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from plugway_hookspecs import Operation, spellings

Predicate = Callable[[Operation], bool]
Matcher = Callable[[str], bool]
Patterns = Sequence[str]

_MAGIC = re.compile(r"[*?[]")
_METHODS = {
    "tools": frozenset({"tools/call"}),
    "prompts": frozenset({"prompts/get"}),
    "resources": frozenset({"resources/read", "resources/subscribe"}),
    "agents": frozenset[str](),
    "content_types": frozenset({"resources/read", "resources/subscribe"}),
}
"""The operations that a field is about; a field that isn't listed is about all."""
_RECENT, _LONG = 128, 1024
"""How many answers a condition remembers, and from how many characters a name is not kept."""


def _pattern(text: str) -> str:
    if text in {"", "!"}:
        raise PydanticCustomError("plugway_pattern", "an empty pattern matches nothing: remove it")
    return text


Given = tuple[Annotated[str, AfterValidator(_pattern)], ...] | None


class Condition(BaseModel):
    """What an operation must be like; every field that is given has to match.

    Patterns are globs (`*`, `?`, `[abc]`), compared with case; a leading `!` excludes. A list
    matches when one of its patterns does (or it only excludes) and none that excludes does.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    server_ids: Given = None
    """Names of servers in `mcpServers`: the one that answers, or that asks."""
    tenant_ids: Given = None
    """Tenants, as authentication established them."""
    tools: Given = None
    """Tool names as `/mcp` has them, such as `crm__*`; of calls, and of what a server asks the
    client in the course of one."""
    prompts: Given = None
    """Prompt names as `/mcp` has them; of prompts, of their completions, and of what a server asks
    meanwhile."""
    resources: Given = None
    """Resource URIs as `/mcp` has them, however they are written: percent-encoded or not, say."""
    agents: Given = None
    """Agent names."""
    user_patterns: Given = None
    """Users, as authentication established them."""
    content_types: Given = None
    """Media types of resources, without parameters, such as `text/*`; compared without case. A
    resource whose type its server does not list matches."""


def compile_conditions(conditions: Sequence[Condition]) -> Predicate | None:
    """Return one predicate that is true where any condition matches; None if there are none."""
    if not conditions:
        return None
    predicates = tuple(_compile(condition) for condition in conditions)
    return predicates[0] if len(predicates) == 1 else _any_of(predicates)


def impossible(condition: Condition) -> list[str]:
    """Say, one sentence each, why a condition can never match; empty if it can."""
    given = _given(condition)
    reasons = [f"{field}: an empty list matches nothing" for field in given if not given[field]]
    reasons += [
        f"{field}: everything it names is excluded by its own '!' patterns"
        for field, patterns in given.items()
        if _contradict(*_compared(field, patterns))
    ]
    if "agents" in given:
        reasons.append("agents: the gateway has no agent operations yet")
    kinds = [field for field in given if _METHODS.get(field)]
    if not all(_METHODS[kinds[0]] & _METHODS[field] for field in kinds[1:]):
        reasons.append(f"no operation is about {' and '.join(kinds)} at once: use one object each")
    return reasons


def compile_patterns(patterns: Patterns) -> Matcher:
    """Return a function that tells whether a name matches a list of globs.

    The time it takes is linear in the length of the name, whatever the patterns.
    """
    return _matcher(*_split(patterns))


def _given(condition: Condition) -> dict[str, tuple[str, ...]]:
    fields = ((name, getattr(condition, name)) for name in Condition.model_fields)
    return {name: patterns for name, patterns in fields if patterns is not None}


def _split(patterns: Patterns) -> tuple[Patterns, Patterns]:
    """Return the globs that accept and those that refuse."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return wanted, refused


def _compared(field: str, patterns: Patterns) -> tuple[Patterns, Patterns]:
    """Return a field's globs in the spellings that names are compared with.

    What accepts a URI accepts its other spellings too; what refuses one must not grow.
    """
    if field == "content_types":
        patterns = [pattern.lower() for pattern in patterns]
    wanted, refused = _split(patterns)
    if field == "resources":
        wanted = [form for pattern in wanted for form in spellings(pattern)]
    return wanted, refused


def _contradict(wanted: Patterns, refused: Patterns) -> bool:
    """Tell whether everything that is accepted is certainly refused."""
    return bool(wanted) and all(any(_covers(glob, other) for glob in refused) for other in wanted)


def _covers(glob: str, other: str) -> bool:
    """Tell whether a glob certainly matches everything that another one does."""
    if glob == other or (_is_prefix(glob) and other.startswith(glob[:-1])):
        return True
    return not _MAGIC.search(other) and fnmatch.fnmatchcase(other, glob)


def _is_prefix(glob: str) -> bool:
    return glob.endswith("*") and not _MAGIC.search(glob[:-1])


def _compile(condition: Condition) -> Predicate:
    checks = tuple(_check(field, patterns) for field, patterns in _given(condition).items())
    return checks[0] if len(checks) == 1 else _all_of(checks)


def _check(field: str, patterns: Patterns) -> Predicate:
    wanted, refused = _compared(field, patterns)
    matches = _matcher(wanted, refused)
    excludes_only = bool(refused) and not wanted
    match field:
        case "server_ids":
            return lambda op: matches(op.server) if op.server else excludes_only
        case "tenant_ids":
            return lambda op: excludes_only if (v := op.principal.tenant) is None else matches(v)
        case "user_patterns":
            return lambda op: excludes_only if (v := op.principal.user) is None else matches(v)
        case "content_types":
            return _typed(matches, unlisted=bool(patterns) and not _contradict(wanted, refused))
        case "resources":
            return _named(field, _remembered(lambda uri: any(map(matches, spellings(uri)))))
        case _:
            return _named(field, matches)


def _named(field: str, matches: Matcher) -> Predicate:
    methods = _METHODS[field]
    return lambda op: (op.method in methods or op.within in methods) and matches(op.name)


def _typed(matches: Matcher, *, unlisted: bool) -> Predicate:
    """Match by the type that the server lists; who does not say it is asked about all the same."""
    methods = _METHODS["content_types"]

    def listed(mime: str) -> bool:
        essence = mime.partition(";")[0].strip().lower()
        return matches(essence) if essence else unlisted

    recall = _remembered(listed)

    def check(operation: Operation) -> bool:
        if operation.method not in methods and operation.within not in methods:
            return False
        given = operation.definition and operation.definition.get("mimeType")
        return recall(given) if isinstance(given, str) else unlisted

    return check


def _matcher(wanted: Patterns, refused: Patterns) -> Matcher:
    accepted, unwanted = _any_glob(wanted), _any_glob(refused)
    if not refused:
        return accepted if all(map(_is_quick, wanted)) else _remembered(accepted)
    if not wanted:
        return _remembered(lambda name: not unwanted(name))
    return _remembered(lambda name: accepted(name) and not unwanted(name))


def _remembered(matches: Matcher) -> Matcher:
    """Keep the answers for recent names, but no long ones: anyone may send them."""
    recall = lru_cache(_RECENT)(matches)
    return lambda name: recall(name) if len(name) < _LONG else matches(name)


def _is_quick(glob: str) -> bool:
    return _is_prefix(glob) or not _MAGIC.search(glob)


def _any_glob(patterns: Patterns) -> Matcher:
    exact = frozenset(p for p in patterns if not _MAGIC.search(p))
    prefixes = tuple(p[:-1] for p in patterns if _is_prefix(p))
    globs = [p for p in patterns if not _is_quick(p)]
    if not globs:
        if not prefixes:
            return exact.__contains__
        if not exact:
            return lambda name: name.startswith(prefixes)
        return lambda name: name in exact or name.startswith(prefixes)
    # fnmatch writes every `*` but the last as an atomic group: there is nothing to backtrack into
    search = re.compile("|".join(map(fnmatch.translate, globs))).match
    return lambda name: name in exact or name.startswith(prefixes) or search(name) is not None


def _all_of(checks: tuple[Predicate, ...]) -> Predicate:
    def matches(operation: Operation) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs as much as the checks
            if not check(operation):
                return False
        return True

    return matches


def _any_of(predicates: tuple[Predicate, ...]) -> Predicate:
    def matches(operation: Operation) -> bool:
        for predicate in predicates:  # noqa: SIM110 - a generator costs as much as the checks
            if predicate(operation):
                return True
        return False

    return matches


__all__ = ["Condition", "compile_conditions", "compile_patterns", "impossible"]
