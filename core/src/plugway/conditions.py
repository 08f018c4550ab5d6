"""Decide whether a plugin is asked about an operation: `when` compiled to one predicate."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from plugway_hookspecs import Operation, spellings

Predicate = Callable[[Operation], bool]
Matcher = Callable[[str], bool]

_MAGIC = re.compile(r"[*?[]")
_METHODS = {
    "tools": frozenset({"tools/call"}),
    "prompts": frozenset({"prompts/get"}),
    "resources": frozenset({"resources/read", "resources/subscribe"}),
    "agents": frozenset[str](),
    "content_types": frozenset({"resources/read", "resources/subscribe"}),
}
"""The operations that a field is about; a field that isn't listed is about all."""


def _pattern(text: str) -> str:
    if not text.removeprefix("!"):
        raise PydanticCustomError("plugway_pattern", "an empty pattern matches nothing: remove it")
    return text


Patterns = tuple[Annotated[str, AfterValidator(_pattern)], ...] | None


class Condition(BaseModel):
    """What an operation must be like; every field that is given has to match.

    Patterns are globs (`*`, `?`, `[abc]`), compared with case; a leading `!` excludes. A list
    matches when one of its patterns does (or it only excludes) and none that excludes does.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    server_ids: Patterns = None
    """Names of servers in `mcpServers`."""
    tenant_ids: Patterns = None
    """Tenants, as authentication established them."""
    tools: Patterns = None
    """Tool names as clients see them, such as `crm__*`."""
    prompts: Patterns = None
    """Prompt names as clients see them."""
    resources: Patterns = None
    """Resource URIs as clients see them."""
    agents: Patterns = None
    """Agent names."""
    user_patterns: Patterns = None
    """Users, as authentication established them."""
    content_types: Patterns = None
    """Media types of resources, without parameters, such as `text/*`; compared without case. A
    resource whose type its server does not list matches."""


def compile_conditions(conditions: Sequence[Condition]) -> Predicate | None:
    """Return one predicate that is true where any condition matches; None if there are none."""
    if not conditions:
        return None
    predicates = [_compile(condition) for condition in conditions]
    return predicates[0] if len(predicates) == 1 else _any_of(tuple(predicates))


def impossible(condition: Condition) -> list[str]:
    """Say, one sentence each, why a condition can never match; empty if it can."""
    given = _given(condition)
    reasons = [f"{field}: an empty list matches nothing" for field in given if not given[field]]
    reasons += [
        f"{field}: everything it names is excluded by its own '!' patterns"
        for field, patterns in given.items()
        if _contradicts(patterns)
    ]
    if "agents" in given:
        reasons.append("agents: the gateway has no agent operations yet")
    kinds = [field for field in given if _METHODS.get(field)]
    if not all(_METHODS[kinds[0]] & _METHODS[field] for field in kinds[1:]):
        reasons.append(f"no operation is about {' and '.join(kinds)} at once: use one object each")
    return reasons


def compile_patterns(patterns: Sequence[str]) -> Matcher:
    """Return a function that tells whether a name matches a list of globs.

    The time it takes is linear in the length of the name, whatever the patterns.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    if not refused:
        return _any_glob(wanted)
    unwanted = _any_glob(refused)
    if not wanted:
        return lambda name: not unwanted(name)
    accepted = _any_glob(wanted)
    return lambda name: accepted(name) and not unwanted(name)


def _given(condition: Condition) -> dict[str, tuple[str, ...]]:
    fields = ((name, getattr(condition, name)) for name in Condition.model_fields)
    return {name: patterns for name, patterns in fields if patterns is not None}


def _contradicts(patterns: tuple[str, ...]) -> bool:
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return bool(wanted) and all(
        any(_covers(unwanted, pattern) for unwanted in refused) for pattern in wanted
    )


def _covers(glob: str, other: str) -> bool:
    """Tell whether a glob certainly matches everything that another one does."""
    if glob == other or (_is_prefix(glob) and other.startswith(glob[:-1])):
        return True
    return not _MAGIC.search(other) and fnmatch.fnmatchcase(other, glob)


def _is_prefix(glob: str) -> bool:
    return _MAGIC.search(glob, 0, len(glob) - 1) is None and glob.endswith("*")


def _compile(condition: Condition) -> Predicate:
    checks = [_check(field, patterns) for field, patterns in _given(condition).items()]
    match checks:
        case []:
            return lambda _: True
        case [check]:
            return check
        case _:
            return _all_of(tuple(checks))


def _check(field: str, patterns: tuple[str, ...]) -> Predicate:
    matches = compile_patterns(patterns)
    excludes_only = bool(patterns) and all(pattern.startswith("!") for pattern in patterns)
    match field:
        case "server_ids":
            return lambda op: matches(op.server) if op.server else excludes_only
        case "tenant_ids":
            return lambda op: excludes_only if (v := op.principal.tenant) is None else matches(v)
        case "user_patterns":
            return lambda op: excludes_only if (v := op.principal.user) is None else matches(v)
        case "content_types":
            return _content_type(tuple(p.lower() for p in patterns))
        case "resources":
            return _named(_METHODS[field], _any_spelling(patterns))
        case _:
            return _named(_METHODS[field], matches)


def _named(methods: frozenset[str], matches: Matcher) -> Predicate:
    if len(methods) == 1:
        (method,) = methods
        return lambda op: op.method == method and matches(op.name)
    return lambda op: op.method in methods and matches(op.name)


def _any_spelling(patterns: tuple[str, ...]) -> Matcher:
    """Match a URI however it is written; it is excluded only if every spelling of it is."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    accepts, excludes = _any_glob(wanted), _any_glob(refused)
    if not patterns:
        return lambda _: False

    def matches(uri: str) -> bool:
        forms = spellings(uri)
        if wanted and not any(map(accepts, forms)):
            return False
        return not (refused and all(map(excludes, forms)))

    return matches


def _content_type(patterns: tuple[str, ...]) -> Predicate:
    """Match by the type that the server lists; who does not say it is asked about all the same."""
    methods = _METHODS["content_types"]
    matches = compile_patterns(patterns)

    def check(operation: Operation) -> bool:
        if operation.method not in methods:
            return False
        given = operation.definition and operation.definition.get("mimeType")
        if not isinstance(given, str):
            return bool(patterns)
        return matches(given.partition(";")[0].strip().lower())

    return check


def _any_glob(patterns: Sequence[str]) -> Matcher:
    exact = frozenset(p for p in patterns if not _MAGIC.search(p))
    prefixes = tuple(p[:-1] for p in patterns if _is_prefix(p))
    globs = [p for p in patterns if p not in exact and not _is_prefix(p)]
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
