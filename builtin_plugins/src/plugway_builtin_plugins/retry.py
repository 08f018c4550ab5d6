"""The kind `retry`: ask again when a server is away, where that can do no harm."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field

from plugway_builtin_plugins.call_plugin import CallPlugin, Q, R
from plugway_builtin_plugins.repeats import (
    Repeats,
    RepeatSettings,
    Request,
    is_renamed,
    subject,
)
from plugway_hookspecs import (
    CallNext,
    Context,
    Deny,
    PromptResult,
    ResourceResult,
    ServerUnavailableError,
    ToolResult,
)

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Came = ToolResult | PromptResult | ResourceResult | Deny | ServerUnavailableError
"""What came of an attempt."""


class Retry(CallPlugin):
    """Asks again when a server is unavailable, where asking twice does no harm.

    Prompts, resources and tools that only read or may be repeated are asked for again, after a
    while that grows with each attempt, as long as the client has not given up.
    """

    priority = 950  # round the call itself, and behind a cache

    class Config(RepeatSettings):
        """What goes under `config:` of a `retry`."""

        attempts: Annotated[int, Field(ge=2, le=20)] = 3
        """How often a server is asked at most, with the first time."""
        codes: tuple[int, ...] = ()
        """JSON-RPC error codes after which a server is asked again, too."""
        first_delay: Seconds = 0.25
        """Seconds before the second attempt, at most; twice as many before each further one."""
        max_delay: Seconds = 5.0
        """Seconds before any attempt, at most."""

    def __init__(
        self,
        config: Config,
        *,
        name: str,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`sleep` waits for some seconds, `uniform` returns a random number between two."""
        super().__init__(config, name=name)
        self._settings = config
        self._repeats = Repeats(config)
        self._sleep = sleep
        self._uniform = uniform

    async def around(self, payload: Q, context: Context, call_next: CallNext[Q, R]) -> R | Deny:
        """Ask until there is an answer, or until it is time to stop."""
        if is_renamed(payload, context) or not self._repeats.may_repeat(payload, context):
            return await call_next(payload)
        attempt = 1
        try:
            while True:
                came = await _try(payload, call_next)
                if not self._is_passing(came) or _went_elsewhere(payload, context):
                    break
                if not await self._wait(attempt, context):
                    break
                attempt += 1
        finally:
            if attempt > 1:
                context.annotate("attempts", attempt)
        if isinstance(came, ServerUnavailableError):
            raise came
        return came

    def _is_passing(self, came: Came) -> bool:
        """Tell whether what came may be better the next time."""
        if isinstance(came, ServerUnavailableError):
            return True
        if isinstance(came, Deny) or came.error is None:
            return False
        return came.error.get("code") in self._settings.codes

    async def _wait(self, attempt: int, context: Context) -> bool:
        """Wait before the next attempt; False where there is none any more."""
        settings = self._settings
        if attempt >= settings.attempts:
            return False
        longest = min(settings.max_delay, settings.first_delay * 2.0 ** (attempt - 1))
        delay = self._uniform(0.0, longest)
        now = asyncio.get_running_loop().time()  # the clock that deadlines are on
        if context.deadline is not None and now + delay >= context.deadline:
            return False
        await self._sleep(delay)
        return True


async def _try(payload: Q, call_next: CallNext[Q, R]) -> R | Deny | ServerUnavailableError:
    try:
        return await call_next(payload)
    except ServerUnavailableError as error:
        return error


def _went_elsewhere(payload: Request, context: Context) -> bool:
    """Tell whether a later plugin sent the request to another name, which may do harm."""
    sent = context.request
    return isinstance(sent, Request) and subject(sent) != subject(payload)
