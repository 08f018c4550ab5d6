"""Open every configured server, and close them all."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

import anyio

from plugway.config import ServerConfig
from plugway.upstream.upstream import Upstream


@asynccontextmanager
async def open_upstreams(
    servers: Mapping[str, ServerConfig],
    *,
    one_client: bool = False,
) -> AsyncGenerator[Mapping[str, Upstream]]:
    """Offer an upstream for each server; each connects when it is first used.

    With `one_client`, log messages that belong to no call for certain go to the one under way; with
    several clients they would tell one of them of another, and go to nobody.

    On exit all connections are closed and no child process is left.
    """
    upstreams = {
        name: Upstream(name, config, one_client=one_client) for name, config in servers.items()
    }
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        for upstream in upstreams.values():
            tasks.start_soon(upstream.run)
        try:
            yield MappingProxyType(upstreams)
        except Exception as error:  # noqa: BLE001 - raised below: the task group would wrap it
            failure = error
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
