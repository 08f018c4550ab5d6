"""Let all servers of a client know of something, side by side and within a few seconds."""

import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from plugway.dispatch.routing import UpstreamCalls
from plugway.foreign import describe
from plugway_hookspecs import PlugwayError

TELL_SECONDS = 5.0
"""How long the servers may take; the client, who waits meanwhile, is not told of who takes more."""

FAILURES = (
    *(PlugwayError, RuntimeError, OSError),
    *(anyio.BrokenResourceError, anyio.ClosedResourceError),
)
"""What comes of a server that can't be told, as when its connection is just going."""

log = logging.getLogger(__name__)

Tell = Callable[[UpstreamCalls], Awaitable[None]]


async def tell_all(upstreams: Mapping[str, UpstreamCalls], tell: Tell) -> None:
    """Call `tell` for each server; that one fails or is silent is for the log, not for others."""
    async with anyio.create_task_group() as tasks:
        for name, upstream in upstreams.items():
            tasks.start_soon(_tell, name, upstream, tell)


async def _tell(name: str, upstream: UpstreamCalls, tell: Tell) -> None:
    with anyio.move_on_after(TELL_SECONDS) as scope:
        try:
            await tell(upstream)
        except FAILURES as error:
            log.warning("server %r can't be told what a client wants: it %s", name, describe(error))
    if scope.cancelled_caught:
        log.warning("server %r takes no notice of what a client wants", name)
