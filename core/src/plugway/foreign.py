"""Tell a plugin's failure, and describe for the log what failed, without what quotes a payload."""

import asyncio
import math
import sys
import traceback
from types import FrameType
from typing import cast

import anyio

from plugway_hookspecs import Operation, PluginError

_LIBRARIES = frozenset({"plugway", "plugway_hookspecs", "anyio", "click", "pydantic"})
"""Packages, besides Python's own, that plugins call and are called by."""

NAME, WORDS = 200, 300
"""How many characters of a name are logged, and of a sentence."""


def is_failure(error: BaseException, *, scoped: bool = False) -> bool:
    """Whether an exception is a plugin's own failure, and not the end of the request or process.

    `sys.exit` in a plugin is its failure, and so is any other exception that is no `Exception`. So
    is a cancellation that nobody asked for: awaiting a task that was cancelled raises one, and
    taken for real it would end the request without a word. Where only a scope ends a task, it is
    `scoped`: what plugins make of `task.cancelling()` counts for nothing there.
    """
    if isinstance(error, asyncio.CancelledError):
        return not (_scope_cancelled() or (not scoped and _task_cancelled()))
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_failure(each, scoped=scoped) for each in group.exceptions)
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)


def alone(error: BaseException) -> BaseException:
    """Return what ended a task group; what its tasks raise comes wrapped in groups."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = next((e for e in group.exceptions if not is_failure(e)), group.exceptions[0])
    return error


def _scope_cancelled() -> bool:
    return anyio.current_effective_deadline() == -math.inf


def _task_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def describe(error: BaseException) -> str:
    """Say what failed and where in the code of the plugin, not of a library that it called."""
    if isinstance(error, PluginError) and isinstance(cast("object", error.message), str):
        return str.__str__(error.message)  # plugins raise it as well, with whatever they like
    if isinstance(error, TimeoutError):
        return "timed out"
    return f"raised {type(error).__name__}{_place(error)}"


def _place(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return ""
    own = [each for each in frames if not _is_library(each[0])]
    frame, line = (own or frames)[-1]
    return f" at {frame.f_code.co_filename}:{line}"


def _is_library(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return package in _LIBRARIES or package in sys.stdlib_module_names


def stack(error: BaseException) -> str:
    """Return the stack of an exception, one line for each frame."""
    return "".join(traceback.format_tb(error.__traceback__))


def about(operation: Operation) -> str:
    """Name a request in the log, by its id and by what it asks for."""
    name = f" {operation.name[:NAME]!r}" if operation.name else ""
    return f"request {operation.id} ({one_line(operation.method)}{name})"


def one_line(text: str) -> str:
    """Return others' words as they can stand in a log: short, and on one line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:WORDS])
