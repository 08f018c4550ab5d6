"""Start a server's program, and stop it with everything that it has started."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import anyio
from anyio.abc import Process
from mcp.client.stdio import get_default_environment
from mcp.os.posix.utilities import terminate_posix_process_tree

from plugway.config import ServerConfig

EXIT_TIMEOUT = 2.0
"""Seconds for a program to exit by itself once its standard input is closed."""
KILL_TIMEOUT = 2.0
"""Seconds for it to exit once it was told to."""


def environment(config: ServerConfig) -> dict[str, str]:
    """Return what the program may know: what any program needs, and what the operator named."""
    inherited = {name: os.environ[name] for name in config.inherit_env if name in os.environ}
    return get_default_environment() | inherited | config.env


async def spawn(config: ServerConfig) -> Process:
    """Start the program in a process group of its own.

    Raises `OSError`, `NotADirectoryError` where the folder to start in is not there.
    """
    command = config.command or ""
    if sys.platform == "win32":  # npx and its like are scripts there, which only `which` finds
        command = await anyio.to_thread.run_sync(shutil.which, command) or command
    if config.cwd is not None and not await anyio.Path(config.cwd).is_dir():
        raise NotADirectoryError
    return await anyio.open_process(
        [command, *config.args],
        stderr=subprocess.PIPE,
        env=environment(config),
        cwd=config.cwd,
        start_new_session=True,
    )


async def stop(process: Process) -> None:
    """Let the program exit, or make it: close its input, then terminate, then kill its group.

    Every wait is bounded and shielded, so that a cancelled caller leaves no process behind.
    """
    with anyio.CancelScope(shield=True):
        if process.stdin is not None:
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await process.stdin.aclose()
        with anyio.move_on_after(EXIT_TIMEOUT):
            await process.wait()
        if sys.platform != "win32":  # also when the leader has gone: it may have left children
            await terminate_posix_process_tree(process, KILL_TIMEOUT)
        elif process.returncode is None:
            process.kill()
        with anyio.move_on_after(KILL_TIMEOUT):
            await process.aclose()
