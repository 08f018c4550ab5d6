"""What stands between client and server in the gateway's benchmark, and how it is started."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml_config as configs
from load import Ask, Client
from peers import environment
from processes import Cores, first_list, free_port, process, tree

HERE = Path(__file__).parent
FASTMCP = ("fastmcp==4.1.2", "uvloop", "httptools")


@dataclass(frozen=True)
class Backend:
    """The servers behind: some echo servers with some tools each, over HTTP or over a pipe."""

    servers: int = 1
    tools: int = 1
    stdio: bool = False
    hung: bool = False
    """Whether the last one answers no call."""
    gateway: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What plugway's configuration says besides."""

    @property
    def all_tools(self) -> int:
        return self.servers * self.tools


@dataclass
class Running:
    """A started target, and the clients that it has."""

    title: str
    url: str
    child: subprocess.Popen[bytes]
    log: Path
    backend: Backend
    tool: Callable[[int], str]
    """What the first tool of a server is called here."""
    cold: float = 0
    """Seconds until the first complete `tools/list`."""
    clients: dict[str, Client] = field(default_factory=dict[str, Client])

    def client(self, era: str) -> Client:
        return self.clients.setdefault(era, Client(self.url, era))

    def processes(self) -> list[int]:
        return tree(self.child.pid)

    def failure(self, error: Exception) -> RuntimeError:
        """Return what to raise where it can't be measured, with what it said itself."""
        status = self.child.poll()
        state = "runs" if status is None else f"ended with status {status}"
        said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return RuntimeError(f"{self.title} {state}: {error!r}\n{said}")


class Lab:
    """Where processes run and keep their files, and how the servers behind are started."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        folder.mkdir()
        self.folder = folder
        self.cores = cores
        self.env = configs.plugin_path(folder, HERE)
        self._files = 0

    def file(self, name: str) -> Path:
        self._files += 1
        return self.folder / f"{self._files}-{name}"

    @contextlib.asynccontextmanager
    async def echo(
        self, tools: int, cores: frozenset[int], *options: str
    ) -> AsyncGenerator[tuple[int, subprocess.Popen[bytes], Path]]:
        """Start an echo server; its port, its process, and where it says what goes wrong."""
        port, log = free_port(), self.file("echo.log")
        script = str(HERE / "raw_echo.py")
        command = [sys.executable, script, str(port), "--tools", str(tools), *options]
        with process(command, cores=cores, log=log) as child:
            await first_list(f"http://127.0.0.1:{port}/mcp", "modern", Ask(tools=tools))
            yield port, child, log

    @contextlib.asynccontextmanager
    async def servers(self, backend: Backend) -> AsyncGenerator[dict[str, Any]]:
        """Start what is behind a proxy; as a client's `mcpServers` would name them."""
        if backend.stdio:
            script = str(HERE / "raw_echo.py")
            yield {"up0": {"command": sys.executable, "args": [script]}}
            return
        async with contextlib.AsyncExitStack() as stack:
            rest = self.cores.rest
            port, *_ = await stack.enter_async_context(self.echo(backend.tools, rest))
            ports = [port] * backend.servers
            if backend.hung:
                hung = self.echo(backend.tools, rest, "--hang")
                ports[-1], *_ = await stack.enter_async_context(hung)
            names = enumerate(ports)
            yield {f"up{n}": {"url": f"http://127.0.0.1:{port}/up{n}"} for n, port in names}


Start = Callable[[Lab, Backend], AbstractAsyncContextManager[Running]]


@contextlib.asynccontextmanager
async def direct(lab: Lab, backend: Backend) -> AsyncGenerator[Running]:
    """The echo server itself, on the core that proxies have."""
    async with lab.echo(backend.all_tools, lab.cores.proxy) as (port, child, log):
        url = f"http://127.0.0.1:{port}/mcp"
        yield Running("direct", url, child, log, backend, lambda _: "echo")


@contextlib.asynccontextmanager
async def nginx(lab: Lab, backend: Backend) -> AsyncGenerator[Running]:
    program = shutil.which("nginx")
    if program is None:
        raise SystemExit(
            "nginx is not installed: `apt-get install -y nginx-light`, or say `--without nginx`"
        )
    async with lab.echo(backend.all_tools, lab.cores.rest) as (upstream, *_):
        port = free_port()
        folder = lab.file("nginx")
        folder.mkdir()
        config = configs.write_nginx(folder / "nginx.conf", upstream, port)
        command = [program, "-c", str(config), "-p", str(folder)]
        async with _started(lab, "nginx", command, port, backend, lambda _: "echo") as running:
            yield running


def plugway(title: str, plugins: list[dict[str, Any]]) -> Start:
    @contextlib.asynccontextmanager
    async def start(lab: Lab, backend: Backend) -> AsyncGenerator[Running]:
        async with (
            lab.servers(backend) as servers,
            _gateway(lab, title, backend, servers, plugins) as running,
        ):
            yield running

    return start


@contextlib.asynccontextmanager
async def plugway_external(lab: Lab, backend: Backend) -> AsyncGenerator[Running]:
    """One no-op plugin that `plugway host` serves from a process of its own."""
    port = free_port()
    config = configs.write(lab.file("host.yaml"), {}, configs.noops(1), {})
    command = [sys.executable, "-m", "plugway", "host", "-c", str(config), "--port", str(port)]
    guard = {"name": "guard", "kind": "external", "server": "guard"}
    with process(command, lab.env, lab.cores.rest, lab.file("host.log")):
        async with lab.servers(backend) as servers:
            await first_list(f"http://127.0.0.1:{port}/mcp", "legacy", Ask())
            servers["guard"] = {"url": f"http://127.0.0.1:{port}/mcp", "expose": False}
            title = "plugway, 1 external"
            async with _gateway(lab, title, backend, servers, [guard]) as running:
                yield running


@contextlib.asynccontextmanager
async def _gateway(
    lab: Lab,
    title: str,
    backend: Backend,
    servers: dict[str, Any],
    plugins: list[dict[str, Any]],
) -> AsyncGenerator[Running]:
    """Start plugway as users do."""
    port = free_port()
    gateway = {"port": port, **backend.gateway}
    config = configs.write(lab.file("plugway.yaml"), servers, plugins, gateway)
    command = [sys.executable, "-m", "plugway", "-c", str(config), "serve", "--json"]
    async with _started(
        lab, title, command, port, backend, lambda server: f"up{server}__echo", lab.env
    ) as running:
        yield running


def fastmcp(how: str) -> Start:
    @contextlib.asynccontextmanager
    async def start(lab: Lab, backend: Backend) -> AsyncGenerator[Running]:
        async with lab.servers(backend) as servers:
            port = free_port()
            script = str(HERE / "peer_workers" / "fastmcp_proxy.py")
            python = str(environment(*FASTMCP))
            command = [python, script, str(port), how, json.dumps(servers)]
            prefixed = backend.servers > 1
            async with _started(
                lab,
                f"fastmcp, {how}",
                command,
                port,
                backend,
                lambda server: f"up{server}_echo" if prefixed else "echo",
            ) as running:
                yield running

    return start


@contextlib.asynccontextmanager
async def _started(
    lab: Lab,
    title: str,
    command: list[str],
    port: int,
    backend: Backend,
    tool: Callable[[int], str],
    env: Mapping[str, str] | None = None,
) -> AsyncGenerator[Running]:
    url = f"http://127.0.0.1:{port}/mcp"
    log = lab.file(f"{title.split(',', maxsplit=1)[0]}.log")
    with process(command, env, lab.cores.proxy, log) as child:
        running = Running(title, url, child, log, backend, tool)
        try:
            running.cold = await first_list(url, "legacy", Ask(tools=backend.all_tools))
        except RuntimeError as error:
            raise running.failure(error) from error
        yield running


STARTS: dict[str, Start] = {
    "direct": direct,
    "nginx": nginx,
    "plugway": plugway("plugway, no plugin", []),
    "plugway 1": plugway("plugway, 1 no-op", configs.noops(1)),
    "plugway 10": plugway("plugway, 10 no-op", configs.noops(10)),
    "plugway 50": plugway("plugway, 50 no-op", configs.noops(50)),
    "plugway pii": plugway("plugway, pii_filter", [{"name": "pii", "kind": "pii_filter"}]),
    "plugway external": plugway_external,
    "fastmcp reuse": fastmcp("reuse"),
    "fastmcp stateful": fastmcp("stateful"),
}
"""What can be measured, by the name that cases and the command line have for it."""


def versions(names: set[str]) -> dict[str, str]:
    """Return the versions of the peers that take part and are not of this environment."""
    found: dict[str, str] = {}
    if "nginx" in names and (program := shutil.which("nginx")):
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
        found["nginx"] = said.stderr.rpartition("/")[2].strip()
    if any(name.startswith("fastmcp") for name in names):
        found["fastmcp"] = FASTMCP[0].partition("==")[2]
    return found
