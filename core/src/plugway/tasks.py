"""A task group whose block's own exception comes out as it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def plain_task_group() -> AsyncGenerator[TaskGroup]:
    """Open a task group; what the block raises is raised once the tasks have ended, unwrapped.

    The tasks are not cancelled for it: the block ends them, in a `finally`.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - raised below: the task group would wrap it
            failure = error
    if failure is not None:
        raise failure
