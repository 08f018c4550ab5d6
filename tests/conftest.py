"""Fixtures that every test uses: one backend, no blocking call on the event loop; profiles."""

import inspect
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

from plugway.config import Config, GatewayConfig, ServerConfig, parse
from plugway.dispatch.parking import Parks
from plugway.gateway import Gateway
from plugway.succession import Succession
from plugway.tasks import plain_task_group
from plugway.upstream import Upstream, Upstreams, opening
from plugway_hookspecs import ServerUnavailableError

PACKAGES = ["plugway", "plugway_hookspecs", "plugway_builtin_plugins", "plugway_external_bridge"]

# a shell's background jobs ignore Ctrl-C, and so would all that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# wall-clock deadlines would make the outcome depend on how busy the machine is
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, database=None)
settings.register_profile("nightly", deadline=None, max_examples=20_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-fast-lane", action="store_true", help="have the SDK send and answer all requests"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--no-fast-lane"):
        GatewayConfig.model_fields["fast_lane"].default = False
        GatewayConfig.model_rebuild(force=True)
        Config.model_rebuild(force=True)
        open_upstreams = inspect.unwrap(opening.open_upstreams)
        for function in (open_upstreams, inspect.unwrap(opening.open_pool)):
            function.__kwdefaults__["fast_lane"] = False


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(PACKAGES) as guard:
        # coverage takes its own lock where it meets a file in another thread
        guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture
def install_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install classes of the test as plugin kinds: a package that discovery finds."""

    def install(**found: type) -> None:
        package = ModuleType("kinds_of_a_test")
        vars(package).update(found)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        metadata = tmp_path / "site" / f"{package.__name__}-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text(f"Name: {package.__name__}\nVersion: 1.0\n")
        points = "".join(f"{name} = {package.__name__}:{name}\n" for name in found)
        (metadata / "entry_points.txt").write_text(f"[plugway.plugins.v1]\n{points}")
        monkeypatch.setattr(sys, "path", [str(metadata.parent), *sys.path])

    return install


class LocalServer(Upstream):
    """An MCP server in memory, with a tool `echo` that waits for what `pause` waits for.

    With the command `broken` it can't be reached, with `slow` connecting waits for `pause` as well.
    """

    alive = False

    def __init__(self, name: str, config: ServerConfig, pause: Callable[..., Any]) -> None:
        super().__init__(name, config)
        self.pause = pause
        self.closed = 0

    @property
    def capabilities(self) -> Mapping[str, Any]:
        return {"tools": {"listChanged": True}}

    async def run(self) -> None:
        try:
            self.alive = True
            await anyio.sleep_forever()
        finally:
            self.alive = False
            self.closed += 1

    async def connect(self) -> None:
        if self.closed or self.config.command == "broken":
            raise ServerUnavailableError(f"server {self.name!r} is down", server=self.name)
        if self.config.command == "slow":
            await self.pause({"wait": True})

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        await self.connect()
        if method == "tools/list":
            return {"tools": [{"name": "echo"}]}
        arguments = (params or {}).get("arguments", {})
        await self.pause(arguments)
        await self.connect()  # a server that was closed meanwhile has no answer
        return {"content": [], "structuredContent": arguments}


class LocalServers(Upstreams):
    """Makes servers in memory, whatever their configuration says."""

    def __init__(self, tasks: anyio.abc.TaskGroup, pause: Callable[..., Any]) -> None:
        super().__init__(tasks, one_client=False)
        self.pause = pause

    def make(self, name: str, config: ServerConfig) -> Upstream:
        return LocalServer(name, config, self.pause)


LocalGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def local_gateway() -> LocalGateway:
    """Open a gateway on a configuration (as text) whose servers are in memory; for a minute."""

    async def no_pause(arguments: Any) -> None:
        await anyio.lowlevel.checkpoint()

    @asynccontextmanager
    async def opened(text: str, pause: Callable[..., Any] = no_pause) -> AsyncGenerator[Gateway]:
        config = await anyio.to_thread.run_sync(parse, text)
        with anyio.fail_after(60):
            async with plain_task_group() as servers:
                try:
                    async with plain_task_group() as tasks:
                        succession = Succession(
                            tasks, LocalServers(servers, pause), Parks(), strict=True
                        )
                        try:
                            yield Gateway(await succession.advance(config), succession)
                        finally:
                            succession.end()
                finally:
                    servers.cancel_scope.cancel()

    return opened
