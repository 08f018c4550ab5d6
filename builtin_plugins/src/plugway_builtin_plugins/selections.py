"""Let a configuration name the hooks that a plugin or a rule is for."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

REQUESTS = frozenset(
    {
        "tool_pre_invoke",
        "prompt_pre_fetch",
        "resource_pre_fetch",
        "resource_pre_subscribe",
        "completion_pre",
    }
)
RESULTS = frozenset(
    {"tool_post_invoke", "prompt_post_fetch", "resource_post_fetch", "completion_post"}
)
LISTS = frozenset(
    {"tool_post_list", "prompt_post_list", "resource_post_list", "resource_template_post_list"}
)
QUESTIONS = frozenset({"sampling_pre_request", "elicitation_pre_request", "roots_pre_list"})
"""What servers ask clients."""
ANSWERS = frozenset({"sampling_post_response", "elicitation_post_response", "roots_post_list"})
"""What clients answer."""

HookName = Literal[
    "requests",
    "results",
    "lists",
    "questions",
    "answers",
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
    "resource_pre_subscribe",
    "completion_pre",
    "completion_post",
    "sampling_pre_request",
    "sampling_post_response",
    "elicitation_pre_request",
    "elicitation_post_response",
    "roots_pre_list",
    "roots_post_list",
]

HookNames = Annotated[tuple[HookName, ...], Field(min_length=1)]
"""Hooks by name, or by what they see: `requests`, `results`, `lists`, `questions`, `answers`."""

EVERYTHING: tuple[HookName, ...] = ("requests", "results", "lists", "questions", "answers")

_GROUPS = {
    "requests": REQUESTS,
    "results": RESULTS,
    "lists": LISTS,
    "questions": QUESTIONS,
    "answers": ANSWERS,
}


def hooks_of(names: Iterable[HookName]) -> frozenset[str]:
    """Return the names of the hooks that `names` stand for."""
    return frozenset[str]().union(*(_GROUPS.get(name, {name}) for name in names))
