"""Who may talk to a host over HTTP."""

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

from plugway_external_bridge.errors import SetupError
from plugway_external_bridge.host.http import HttpServer, bind, is_loopback, make_app
from plugway_external_bridge.host.server import make_server
from plugway_hookspecs import Plugin, ToolCall, hookimpl

Manager = Callable[..., AbstractAsyncContextManager[Any]]

TOKEN = "hunter2"
LIST: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "interceptors/list",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "interceptors/list",
}


class Guard(Plugin):
    @hookimpl
    def tool_pre_invoke(self, payload: ToolCall) -> None: ...


@pytest.fixture
def serve(run_plugins: Manager) -> Manager:
    """Serve a plugin as if on `address`, and give a client for it."""

    @asynccontextmanager
    async def run(
        *, token: str | None = None, address: str = "127.0.0.1"
    ) -> AsyncGenerator[httpx2.AsyncClient]:
        guard = {"name": "guard", "kind": "guard"}
        with bind("127.0.0.1", 0, token=token) as listening:
            port = listening.getsockname()[1]
            async with (
                run_plugins({"guard": Guard}, guard) as runner,
                anyio.create_task_group() as tasks,
                httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
            ):
                server = HttpServer(make_app(make_server(runner), address, token=token))
                tasks.start_soon(partial(server.serve, sockets=[listening]))
                yield client
                server.stop()

    return run


async def ask(client: httpx2.AsyncClient, **headers: str) -> tuple[int, Any]:
    sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    with anyio.fail_after(5):
        response = await client.post("/mcp", json=LIST, headers=sent)
    return response.status_code, response


async def test_loopback_needs_no_token(serve: Manager) -> None:
    async with serve() as client:
        status, response = await ask(client)
    assert status == 200
    assert [d["name"] for d in response.json()["result"]["interceptors"]] == [
        "guard.mutate",
        "guard.validate",
    ]


async def test_a_request_under_another_host_name_is_refused(serve: Manager) -> None:
    async with serve() as client:
        assert (await ask(client, Host="evil.example:9000"))[0] == 421
        assert (await ask(client, Host="localhost"))[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9000", "null"])
async def test_a_web_page_is_refused(origin: str, serve: Manager) -> None:
    async with serve() as client:
        assert (await ask(client, Origin=origin))[0] == 403


async def test_a_web_page_is_refused_elsewhere_too_even_with_the_token(serve: Manager) -> None:
    async with serve(token="t", address="0.0.0.0") as client:
        headers = {"Authorization": "Bearer t", "Origin": "https://evil.example"}
        assert (await ask(client, **headers))[0] == 403


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
async def test_a_token_is_asked_for_where_there_is_one(address: str, serve: Manager) -> None:
    async with serve(token=TOKEN, address=address) as client:
        status, response = await ask(client)
        assert (status, response.headers["www-authenticate"]) == (401, "Bearer")
        assert (await ask(client, Authorization="Bearer other"))[0] == 401
        assert (await ask(client, Authorization=f"Basic {TOKEN}"))[0] == 401
        assert (await ask(client, Authorization=f"Bearer {TOKEN}"))[0] == 200


async def test_elsewhere_any_name_of_the_machine_will_do(serve: Manager) -> None:
    async with serve(token="t", address="0.0.0.0") as client:
        assert (await ask(client, Authorization="Bearer t", Host="safety:9000"))[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "safety.example"])
def test_other_addresses_are_refused_without_a_token(address: str) -> None:
    with pytest.raises(SetupError, match="give a token with --token-env, or listen on 127"):
        bind(address, 0, token=None)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_an_address_in_use_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1], token=None)
