from typing import Any

import pytest
from mcp.server.connection import Connection
from mcp.shared.dispatcher import Outbound

from plugway.dispatch.dispatcher import Dispatcher
from plugway.downstream.sessions import Session
from plugway.downstream.subscriptions import Subscriptions
from plugway.executor.chain import Chain
from plugway.executor.compiler import compile_chains
from plugway.executor.steps import Policy
from plugway.federation.catalog import Catalog
from plugway.federation.federation import Federation
from plugway.generation import Generation
from plugway_hookspecs import Client, ToolResult, hookimpl

MESSAGE = "notifications/message"


class Guard:
    @hookimpl
    async def tool_post_invoke(self, payload: ToolResult) -> None:
        return None


class Chains:
    def __init__(self, *plugins: object) -> None:
        self.compiled = compile_chains([(f"p{n}", p, Policy()) for n, p in enumerate(plugins)])

    def chain(self, hook: str) -> Chain[Any]:
        return self.compiled[hook]


class Wire(Outbound):
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_raw_request(self, method: str, params: Any, opts: Any = None) -> dict[str, Any]:
        raise AssertionError

    async def notify(self, method: str, params: Any, opts: Any = None) -> None:
        self.sent.append(params["data"])


@pytest.mark.parametrize("guards", [(), (Guard(),)])
async def test_what_a_server_logs_outside_of_requests_passes_no_guard(
    guards: tuple[object, ...],
) -> None:
    federation = Federation((), None, lambda name: "")
    generation = Generation(
        Catalog(()), {}, Chains(*guards), federation, request_timeout=5, max_payload_bytes=1000
    )
    wire = Wire()
    connection = Connection.for_loop(wire)
    connection.initialized.set()
    subscriptions = Subscriptions(Dispatcher(generation, server_info={}))
    session = Session(connection, subscriptions, Client())
    session.log_level = "warning"
    for level in ("info", "error"):
        await session.tell(MESSAGE, {"level": level, "data": level})
    assert wire.sent == ([] if guards else ["error"])
