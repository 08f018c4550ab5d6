"""The kind `result_cache`: what may be answered from memory, and who asks when nothing is known."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from plugway_builtin_plugins.call_plugin import CallPlugin, Q, R
from plugway_builtin_plugins.repeats import Repeats, is_renamed
from plugway_builtin_plugins.result_cache.freshness import aged, lifetime
from plugway_builtin_plugins.result_cache.memory import Memory, key_of
from plugway_builtin_plugins.result_cache.settings import Settings
from plugway_hookspecs import CallNext, Context, Deny


class _Flight:
    """A question that a server is being asked."""

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.cancelled = False


class ResultCache(CallPlugin):
    """Answers repeated requests from memory, as long as nothing can have changed.

    Prompts, resources and tools that only read are asked for once and answered from memory for a
    while, to the same principal. The post chain sees every answer.
    """

    priority = 900  # behind the guards: on a hit, nobody behind it is asked

    class Config(Settings):
        """What goes under `config:` of a `result_cache`."""

    def __init__(
        self, config: Config, *, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(config, name=name)
        self._settings = config
        self._repeats = Repeats(config)
        self._memory = Memory(config.max_entries, config.max_bytes, clock)
        self._writes: Counter[str] = Counter()
        """How often something may have changed, by server."""
        self._flights: dict[bytes, _Flight] = {}
        self._asking: set[str] = set()
        """Requests that others wait for."""

    async def around(self, payload: Q, context: Context, call_next: CallNext[Q, R]) -> R | Deny:
        """Answer from memory, or remember the answer, or note that something may have changed."""
        if is_renamed(payload, context):
            return await call_next(payload)
        if self._repeats.may_spare(payload, context):
            return await self._recall(payload, context, call_next)
        try:
            return await call_next(payload)
        finally:  # whatever came of it: a call that failed may have changed something as well
            if self._settings.forget_on_writes and not self._repeats.reads(payload, context):
                self._writes[context.server] += 1
                self._memory.forget(context.server)

    async def _recall(self, payload: Q, context: Context, call_next: CallNext[Q, R]) -> R | Deny:
        key = key_of(payload, context)
        known = await self._find(key, context)
        context.annotate("cache", "miss" if known is None else "hit")
        if known is not None:
            result: R = known[0]
            return aged(result, known[1])
        if key in self._flights or context.request_id in self._asking:
            return await self._ask(key, payload, context, call_next)
        return await self._ask_for_all(key, payload, context, call_next)

    async def _find(self, key: bytes, context: Context) -> tuple[Any, float] | None:
        """Return what is known, or will be when the question that is under way is answered."""
        while (known := self._memory.find(key, context.definition)) is None:
            flight = self._flights.get(key)
            if flight is None or context.request_id in self._asking:
                return None  # who is waited for waits for nobody, least of all for itself
            await flight.landed.wait()
            if not flight.cancelled:  # an answer that can't be shared: everyone asks, at once
                return self._memory.find(key, context.definition)
        return known

    async def _ask_for_all(
        self, key: bytes, payload: Q, context: Context, call_next: CallNext[Q, R]
    ) -> R | Deny:
        """Ask while others with the same question wait; if this request ends early, one of them."""
        flight = self._flights[key] = _Flight()
        self._asking.add(context.request_id)
        try:
            return await self._ask(key, payload, context, call_next)
        except asyncio.CancelledError:
            flight.cancelled = True
            raise
        finally:
            self._asking.discard(context.request_id)
            del self._flights[key]
            flight.landed.set()

    async def _ask(
        self, key: bytes, payload: Q, context: Context, call_next: CallNext[Q, R]
    ) -> R | Deny:
        """Ask, and remember the server's answer to just this request, if it may be repeated."""
        writes = self._writes[context.server]
        answer = await call_next(payload)
        if isinstance(answer, Deny) or context.request is not payload:
            return answer  # another plugin changed the question, or answered it
        seconds = lifetime(answer, self._settings.ttl)
        if seconds and writes == self._writes[context.server]:
            self._memory.keep(key, answer, seconds, context)
        return answer
