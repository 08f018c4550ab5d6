"""Let a configuration name the hooks that a plugin or a rule is for."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

REQUESTS = frozenset({"tool_pre_invoke", "prompt_pre_fetch", "resource_pre_fetch"})
RESULTS = frozenset({"tool_post_invoke", "prompt_post_fetch", "resource_post_fetch"})
LISTS = frozenset(
    {"tool_post_list", "prompt_post_list", "resource_post_list", "resource_template_post_list"}
)

HookName = Literal[
    "requests",
    "results",
    "lists",
    "tool_pre_invoke",
    "tool_post_invoke",
    "tool_post_list",
    "prompt_pre_fetch",
    "prompt_post_fetch",
    "prompt_post_list",
    "resource_pre_fetch",
    "resource_post_fetch",
    "resource_post_list",
    "resource_template_post_list",
]

HookNames = Annotated[tuple[HookName, ...], Field(min_length=1)]
"""Hooks by name, or by what they see: `requests`, `results`, `lists`."""

EVERYTHING: tuple[HookName, ...] = ("requests", "results", "lists")

_GROUPS = {"requests": REQUESTS, "results": RESULTS, "lists": LISTS}


def hooks_of(names: Iterable[HookName]) -> frozenset[str]:
    """Return the names of the hooks that `names` stand for."""
    return frozenset[str]().union(*(_GROUPS.get(name, {name}) for name in names))
