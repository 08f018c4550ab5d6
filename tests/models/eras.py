"""The stage for both eras on both sides: a server that asks, a gateway before it, and clients."""

import importlib.util
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp import Client

from plugway.gateway import Gateway

PROGRAM = Path(__file__).parents[1] / "e2e" / "servers" / "asking.py"
ERAS = ("modern", "legacy")
TRANSPORTS = ("http", "stdio")
ALL_EIGHT = [(front, back, by) for by in TRANSPORTS for front in ERAS for back in ERAS]
FOUR = [each for each in ALL_EIGHT if each[2] == "http"]
MODES = {"modern": "2026-07-28", "legacy": "legacy"}

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing tells of; call it under `anyio.fail_after`."""
    while not condition():  # noqa: ASYNC110 - other processes have no events
        await anyio.sleep(0.005)


class Stage:
    """One gateway before one server that asks."""

    def __init__(self, gateway: Gateway, url: str, events: Path) -> None:
        self.gateway = gateway
        self.url = url
        self._events = events

    @property
    def events(self) -> list[str]:
        """What happened to the server, in all its processes."""
        return self._events.read_text().splitlines()

    async def happened(self, event: str) -> None:
        """Wait until something has happened to the server."""
        await until(lambda: event in self.events)

    def note(self, event: str) -> None:
        """Let the server know of something that happens outside."""
        with self._events.open("a") as events:
            events.write(event + "\n")

    def client(self, era: str, **options: Any) -> Client:
        """Return the official client of an era, not yet connected."""
        return Client(self.url, mode=MODES[era], cache=None, **options)

    @property
    def upstream(self) -> Any:
        return self.gateway.upstreams["up"]

    async def left_empty(self) -> None:
        """Wait until nothing is left of clients that have gone."""
        edge, parks = self.gateway.edge, self.gateway.dispatcher.generation.parks

        def left() -> dict[str, int]:
            return {
                "sessions of clients": len(edge.sessions),
                "streams": len(edge.streams),
                "subscriptions": len(edge.subscriptions),
                "parked": len(parks),
                "links of clients": self.upstream.sessions,
                "watched": len(self.upstream.main.watched),
                "slots": self.upstream.config.max_concurrency - self.upstream._slots.value,
                "calls": self.upstream.main.calls,
                "requests": self.gateway.dispatcher.generation.requests,
            }

        with anyio.move_on_after(10):
            await until(lambda: not any(left().values()))
        assert not any(left().values()), left()


@asynccontextmanager
async def staged(
    serve: Serve, folder: Path, back: str, transport: str, **options: Any
) -> AsyncGenerator[Stage]:
    """Open a gateway before a server that speaks `back`: `modern`, `legacy` or both (`dual`).

    `options` are the server's entry; those under `gateway` and `plugins` the gateway's own. The
    links of clients that have gone are soon closed.
    """
    events = folder / "events"
    events.touch()
    config: dict[str, Any] = {
        name: options.pop(name) for name in ("gateway", "plugins") if name in options
    }
    async with serve_asking(back, transport, events) as entry:
        servers = {"up": {"session_idle": "400ms", **entry, **options}}
        async with serve({"mcpServers": servers, **config}) as (gateway, url):
            yield Stage(gateway, url, events)


@asynccontextmanager
async def serve_asking(back: str, transport: str, events: Path) -> AsyncGenerator[dict[str, Any]]:
    """Serve the server that asks; gives its entry in `mcpServers`."""
    if transport == "stdio":
        yield {"command": sys.executable, "args": [str(PROGRAM), back, str(events)]}
        return
    module = _program()
    server, _ = module.make_server(back, partial(module.append, events), events.read_text)
    config = uvicorn.Config(
        server.streamable_http_app(),
        log_level="critical",
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    http = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.serve, [listener])
            try:
                yield {"url": f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"}
            finally:
                http.should_exit = http.force_exit = True


def _program() -> Any:
    spec = importlib.util.spec_from_file_location("asking", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def elicitation(message: str, **extra: Any) -> dict[str, Any]:
    """Return a question by form."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": {**params, **extra}}


def url_elicitation(message: str) -> dict[str, Any]:
    """Return a question by URL."""
    params = {
        "mode": "url",
        "message": message,
        "url": "https://shop.example/",
        "elicitationId": "e0",
    }
    return {"method": "elicitation/create", "params": params}


def sampling(text: str) -> dict[str, Any]:
    """Return a question for a model."""
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 9}}


ROOTS: dict[str, Any] = {"method": "roots/list"}


def called(name: str, **arguments: Any) -> dict[str, Any]:
    """Return the params of a call of a tool of the server."""
    return {"name": f"up__{name}", "arguments": arguments}
