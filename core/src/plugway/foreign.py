"""Tell a plugin's failure, and describe it without its text, which may quote a payload."""

import asyncio
import math
import traceback
from typing import cast

import anyio

from plugway_hookspecs import PluginError


def is_failure(error: BaseException) -> bool:
    """Whether an exception is a plugin's own failure, and not the end of the request or process.

    `sys.exit` in a plugin is its failure, and so is any other exception that is no `Exception`. So
    is a cancellation that nobody asked for: awaiting a task that was cancelled raises one, and
    taken for real it would end the request without a word.
    """
    if isinstance(error, asyncio.CancelledError):
        return not _cancelled()
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(is_failure, group.exceptions))
    return not isinstance(error, KeyboardInterrupt | GeneratorExit)


def alone(error: BaseException) -> BaseException:
    """Return what ended a task group; what its tasks raise comes wrapped in groups."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = next((e for e in group.exceptions if not is_failure(e)), group.exceptions[0])
    return error


def _cancelled() -> bool:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return True
    return anyio.current_effective_deadline() == -math.inf


def describe(error: BaseException) -> str:
    """Say what failed and where in the code."""
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, TimeoutError):
        return "timed out"
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"raised {type(error).__name__}{place}"


def stack(error: BaseException) -> str:
    """Return the stack of an exception, one line for each frame."""
    return "".join(traceback.format_tb(error.__traceback__))
