"""The threads of `threaded` plugins, of which no plugin can take all."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from contextvars import copy_context
from functools import partial
from typing import Any

log = logging.getLogger(__name__)


class Threads(ThreadPoolExecutor):
    """A pool in which nothing queues: a call waits for its plugin's share, and then for a thread.

    So a call that is given up while it waits leaves nothing behind. One that runs keeps its thread,
    and its place in the share, until it returns: nothing can stop a thread.
    """

    def __init__(self, count: int = 8) -> None:
        """Have `count` threads, half of them for one plugin at the most."""
        super().__init__(count, thread_name_prefix="plugway-plugin")
        self._half = max(1, count // 2)
        self._free = asyncio.Semaphore(count)
        self._shares: dict[str, _Share] = {}

    async def run(self, plugin: str, call: Callable[..., Any], *given: Any) -> Any:
        """Call in a thread, with the context variables of the caller."""
        share = self._shares.setdefault(plugin, _Share(self._half))
        with ExitStack() as held:
            await share.free.acquire()
            held.callback(share.free.release)
            await self._free.acquire()
            held.callback(self._free.release)
            future = self.submit(copy_context().run, _without_stop_iteration, call, *given)
            try:
                return await asyncio.wrap_future(future)
            finally:
                if not future.done():
                    share.given_up += 1
                    if share.given_up == self._half:
                        hangs = "plugin %r hangs in all threads that it may have (%d): it waits"
                        log.error(hangs, plugin, self._half)
                    _when_done(future, partial(share.returned, held.pop_all()))


def _when_done(future: "Future[Any]", call: Callable[[], None]) -> None:
    """Call in this loop when a thread has ended its work."""
    loop = asyncio.get_running_loop()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(call)

    future.add_done_callback(tell)


class _Share:
    """What one plugin may have of the threads."""

    def __init__(self, count: int) -> None:
        self.free = asyncio.Semaphore(count)
        self.given_up = 0
        """How many calls run on though nobody waits for them."""

    def returned(self, held: ExitStack) -> None:
        """Release what a call held that was given up."""
        self.given_up -= 1
        held.close()


def _without_stop_iteration(call: Callable[..., Any], *given: Any) -> Any:
    """Call; a StopIteration can't be passed on through a future (PEP 479 says what instead)."""
    try:
        return call(*given)
    except StopIteration as error:
        raise RuntimeError from error
