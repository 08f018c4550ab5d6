"""Endpoints of single servers and of virtual servers, in both eras, over HTTP and stdio."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import PromptReference, ResourceLink, ResourceTemplateReference

from plugway.config import parse
from plugway.gateway import Gateway

Serve = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[Gateway, str]]]
At = Callable[[str], AbstractAsyncContextManager[Client]]

APPS = Path(__file__).parent / "servers" / "apps.py"
VIRTUAL = {
    "all": {"servers": ["apps", "features"], "prefix": False, "instructions": "Both."},
    "some": {"tools": ["features__*", "!features__add", "apps__clock"], "resources": ["ui://*"]},
}


@pytest.fixture
def config(shared_features: Any) -> dict[str, Any]:
    """Two servers with some names in common, `features` first, and two virtual servers."""
    apps = {"command": sys.executable, "args": [str(APPS)], "endpoint_prefix": False}
    servers = {"features": {"url": shared_features.url}, "apps": apps}
    return {"mcpServers": servers, "virtualServers": VIRTUAL}


@pytest.fixture(params=["auto", "legacy"])
async def at(request: pytest.FixtureRequest, config: Any, serve_http: Serve) -> AsyncGenerator[At]:
    """Connect to an endpoint of one gateway by its name, in either era."""
    async with serve_http(config) as (gateway, url):
        for upstream in gateway.upstreams.values():
            await upstream.connect()  # or a busy machine's clients may not hear of them in time

        def connect(endpoint: str) -> AbstractAsyncContextManager[Client]:
            target = f"{url}/{endpoint}" if endpoint else url
            return Client(target, mode=request.param, cache=None)

        yield connect


async def tools(client: Client) -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


def missing(result: Any) -> list[dict[str, str]]:
    meta: dict[str, Any] = result.meta or {}
    found: list[dict[str, str]] = meta.get("plugway/unavailable", [])
    return found


async def text(client: Client, name: str, **arguments: Any) -> str:
    result: Any = await client.call_tool(name, arguments)
    assert not result.is_error
    return str(result.content[0].text)


async def memo(client: Client, uri: str) -> tuple[str, str]:
    contents: Any = (await client.read_resource(uri)).contents[0]
    return contents.uri, contents.text


async def test_a_servers_endpoint_offers_that_server_alone(at: At) -> None:
    with anyio.fail_after(60):
        async with at("features") as client:
            assert client.instructions == "One of everything."
            assert {name.partition("__")[0] for name in await tools(client)} == {"features"}
            assert await text(client, "features__echo", text="x") == "x"
            with pytest.raises(MCPError, match="Unknown tool: apps__echo"):
                await client.call_tool("apps__echo", {"text": "x"})
            listed = {str(each.uri) for each in (await client.list_resources()).resources}
            assert listed == {"features+memo://today"}
            with pytest.raises(MCPError, match="Unknown resource: ui://clock/page"):
                await client.read_resource("ui://clock/page")


async def test_a_servers_endpoint_has_the_servers_own_names_where_the_configuration_says_so(
    at: At,
) -> None:
    with anyio.fail_after(60):
        async with at("apps") as client:
            assert await tools(client) == {"clock", "echo", "links", "sign"}
            assert await text(client, "echo", text="x") == "xx"
            with pytest.raises(MCPError, match=r"Unknown tool: nothing$"):
                await client.call_tool("nothing", {})
            found = await client.get_prompt("part", {"name": "Ann"})
            assert "Ann" in found.messages[0].content.text  # type: ignore[union-attr]
            result = await client.call_tool("links", {})
            uris = [str(each.uri) for each in result.content if isinstance(each, ResourceLink)]
            assert uris == ["note://one", "memo://today"]
            for uri, said in zip(uris, ["the note", "plenty to do"], strict=True):
                assert await memo(client, uri) == (uri, said)
            assert await memo(client, "note://by-name/b") == ("note://by-name/b", "note of b")


async def test_a_virtual_server_without_prefixes_gives_a_name_to_the_first_that_has_it(
    at: At,
) -> None:
    with anyio.fail_after(60):
        async with at("all") as client:
            assert client.instructions == "Both."
            listed = await client.list_tools()
            names = [tool.name for tool in listed.tools]
            assert {"add", "clock", "echo", "links"} <= set(names)
            assert names.count("echo") == 1
            assert missing(listed) == [{"server": "apps", "reason": "name taken"}]
            assert await text(client, "echo", text="x") == "x"
            assert await text(client, "clock") == "noon"
            assert await memo(client, "memo://today") == ("memo://today", "nothing to do")
            for name, said in (("memo", "memo of b"), ("note", "note of b")):
                assert await memo(client, f"{name}://by-name/b") == (f"{name}://by-name/b", said)


async def test_a_link_that_would_lead_to_another_server_keeps_its_prefix(at: At) -> None:
    with anyio.fail_after(60):
        async with at("all") as client:
            await client.list_resources()
            result = await client.call_tool("links", {})
            uris = [str(each.uri) for each in result.content if isinstance(each, ResourceLink)]
            assert uris == ["note://one", "apps+memo://today"]
            assert await memo(client, uris[1]) == ("apps+memo://today", "plenty to do")


async def test_a_virtual_server_offers_what_its_patterns_name(at: At) -> None:
    with anyio.fail_after(60):
        async with at("some") as client:
            names = await tools(client)
            assert {"features__echo", "apps__clock"} <= names
            assert not names & {"features__add", "apps__echo"}
            with pytest.raises(MCPError, match="Unknown tool: features__add"):
                await client.call_tool("features__add", {"a": 1, "b": 1})
            assert client.server_capabilities is not None
            assert client.server_capabilities.prompts is None
            assert (await memo(client, "ui://clock/page"))[1] == "<p>noon</p>"
            with pytest.raises(MCPError, match="Unknown resource"):
                await client.read_resource("features+memo://today")


async def test_an_app_keeps_its_uri_everywhere(at: At) -> None:
    with anyio.fail_after(60):
        for endpoint, name in (("", "apps__clock"), ("apps", "clock")):
            async with at(endpoint) as client:
                (tool,) = [t for t in (await client.list_tools()).tools if t.name == name]
                assert tool.meta == {"ui": {"resourceUri": "ui://clock/page"}}
                assert (await memo(client, "ui://clock/page"))[1] == "<p>noon</p>"


async def test_completions_are_for_what_the_endpoint_has(at: At) -> None:
    with anyio.fail_after(60):
        async with at("all") as client:
            argument = {"name": "name", "value": "a"}
            for ref in (
                PromptReference(type="ref/prompt", name="greet"),
                ResourceTemplateReference(type="ref/resource", uri="memo://by-name/{name}"),
            ):
                found = await client.complete(ref, argument)
                assert found.completion.values == ["alpha", "beta"]
        async with at("apps") as client:
            with pytest.raises(MCPError, match="Unknown reference: greet"):
                await client.complete(PromptReference(type="ref/prompt", name="greet"), argument)


async def test_rules_hold_whatever_the_endpoint_calls_a_tool(
    config: Any, serve_http: Serve
) -> None:
    deny = {"name": "no", "kind": "deny_list", "config": {"words": ["secret"]}}
    rule = {**deny, "when": [{"tools": ["apps__*"]}]}
    with anyio.fail_after(60):
        async with serve_http({**config, "plugins": [rule]}) as (_, url):
            for endpoint, name in (("", "apps__clock"), ("/apps", "clock"), ("/all", "clock")):
                async with Client(url + endpoint, cache=None) as client:
                    result: Any = await client.call_tool(name, {"x": "secret"})
                    assert result.is_error
                    assert "Denied" in result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_over_stdio_a_gateway_serves_the_endpoint_that_it_is_told_to(
    config: Any, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "plugway.yaml"
    path.write_text(json.dumps(config))
    arguments = ["-m", "plugway", "-c", str(path), "serve", "--stdio", "--endpoint", "apps"]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    with anyio.fail_after(60):
        async with Client(server, mode=mode, cache=None) as client:
            assert await tools(client) == {"clock", "echo", "links", "sign"}
            assert await text(client, "echo", text="x") == "xx"
            assert await memo(client, "note://by-name/b") == ("note://by-name/b", "note of b")
            with pytest.raises(MCPError, match="Unknown tool: apps__echo"):
                await client.call_tool("apps__echo", {"text": "x"})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_where_the_transport_has_no_paths_an_endpoint_that_is_gone_is_an_error(
    config: Any, serve_http: Serve, mode: str
) -> None:
    less = json.dumps({"mcpServers": config["mcpServers"]})
    with anyio.fail_after(60):
        async with serve_http(config) as (gateway, _):
            gateway.edge.endpoint = "all"
            async with Client(gateway.edge.server, mode=mode, cache=None) as client:
                assert "clock" in await tools(client)
                await gateway.reload(await anyio.to_thread.run_sync(parse, less))
                with pytest.raises(MCPError, match="There is no endpoint 'all' any more"):
                    await client.list_tools()


# HTTP


async def post(
    url: str, session: str | None = None, method: str = "tools/list", **more: str
) -> httpx2.Response:
    headers = {"accept": "application/json, text/event-stream", **more}
    headers |= {"mcp-session-id": session} if session else {}
    params: dict[str, Any] = {}
    if method == "initialize":
        info = {"name": "raw", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with httpx2.AsyncClient() as client:
        return await client.post(url, json=body, headers=headers)


@pytest.mark.parametrize("name", ["nobody", "features/", "features/x", "..%2Ffeatures", "Features"])
async def test_an_unknown_endpoint_is_not_found_and_says_nothing_of_others(
    config: Any, serve_http: Serve, name: str
) -> None:
    with anyio.fail_after(60):
        async with serve_http(config) as (_, url):
            answer = await post(f"{url}/{name}", method="initialize")
            assert answer.status_code == 404
            message = answer.json()["error"]["message"]
            assert message.startswith("There is no endpoint")
            assert "apps" not in message
            async with httpx2.AsyncClient() as client:
                for method in ("GET", "DELETE"):
                    assert (await client.request(method, f"{url}/{name}")).status_code == 404


async def test_a_hidden_server_has_no_endpoint(config: Any, serve_http: Serve) -> None:
    config["mcpServers"]["apps"]["expose"] = False
    del config["virtualServers"]
    with anyio.fail_after(60):
        async with serve_http(config) as (_, url):
            assert (await post(f"{url}/apps")).status_code == 404


async def test_an_unknown_endpoint_is_no_way_round_the_token_or_the_host_check(
    config: Any, serve_http: Serve
) -> None:
    with anyio.fail_after(60):
        async with serve_http({**config, "gateway": {"token": "t0ken"}}) as (_, url):
            assert (await post(f"{url}/nobody")).status_code == 401
            assert (await post(f"{url}/apps")).status_code == 401
        async with serve_http(config) as (_, url):
            for name in ("nobody", "apps"):
                answer = await post(f"{url}/{name}", method="initialize", host="evil.example")
                assert answer.status_code == 421


async def test_a_session_belongs_to_the_endpoint_that_it_was_opened_on(
    config: Any, serve_http: Serve
) -> None:
    with anyio.fail_after(60):
        async with serve_http(config) as (_, url):
            endpoints = (url, f"{url}/apps", f"{url}/all")
            for opened_on in endpoints:
                session = (await post(opened_on, method="initialize")).headers["mcp-session-id"]
                for endpoint in endpoints:
                    status = (await post(endpoint, session, "ping")).status_code
                    assert status == (200 if endpoint == opened_on else 404)
                async with httpx2.AsyncClient() as client:
                    other = next(each for each in endpoints if each != opened_on)
                    headers = {"mcp-session-id": session}
                    assert (await client.delete(other, headers=headers)).status_code == 404
                    assert (await post(opened_on, session, "ping")).status_code == 200
                    assert (await client.delete(opened_on, headers=headers)).status_code == 200
                assert (await post(opened_on, session, "ping")).status_code == 404


async def test_headers_that_mirror_arguments_are_checked_under_the_endpoints_names(
    config: Any, serve_http: Serve
) -> None:
    key = "io.modelcontextprotocol/"
    meta: dict[str, Any] = {f"{key}protocolVersion": "2026-07-28", f"{key}clientCapabilities": {}}
    with anyio.fail_after(60):
        async with serve_http(config) as (_, url), httpx2.AsyncClient() as client:
            for endpoint, name in (("", "apps__sign"), ("/apps", "sign"), ("/all", "sign")):
                async with Client(url + endpoint, cache=None) as learns:
                    await learns.list_tools()
                params = {"name": name, "arguments": {"by": "Ann"}, "_meta": meta}
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
                for given, status in (("Ann", 200), ("Bob", 400)):
                    headers = {
                        "accept": "application/json, text/event-stream",
                        "mcp-protocol-version": "2026-07-28",
                        "mcp-method": "tools/call",
                        "mcp-name": name,
                        "mcp-param-by": given,
                    }
                    answer = await client.post(url + endpoint, json=body, headers=headers)
                    assert answer.status_code == status, (endpoint, given, answer.text)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_reload_adds_and_removes_endpoints(
    config: Any, serve_http: Serve, mode: str
) -> None:
    async def reload(gateway: Gateway, virtual: dict[str, Any]) -> str:
        new = json.dumps({**config, "virtualServers": virtual})
        return str(await gateway.reload(await anyio.to_thread.run_sync(parse, new)))

    with anyio.fail_after(60):
        async with serve_http(config) as (gateway, url):
            assert (await post(f"{url}/new")).status_code == 404
            said = await reload(gateway, {"all": VIRTUAL["all"], "new": {"tools": ["apps__clock"]}})
            assert "virtual servers: added new, removed some, 1 kept" in said
            assert (await post(f"{url}/some")).status_code == 404
            async with Client(f"{url}/new", mode=mode, cache=None) as client:
                assert await tools(client) == {"apps__clock"}
                new = {"tools": ["apps__echo"], "prefix": False}
                assert "changed new" in await reload(gateway, {"new": new})
                assert await tools(client) == {"echo"}
                await reload(gateway, {})
                with pytest.raises((MCPError, httpx2.HTTPError)):
                    await client.list_tools()
