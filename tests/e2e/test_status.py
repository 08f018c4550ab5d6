"""What `GET /status` says, while clients come and go."""

from typing import Any

import anyio
import httpx2
from mcp import Client

IDLE = {"requests": 0, "sessions": 0, "streams": 0, "subscriptions": 0, "parked": 0}


async def test_the_status_counts_what_clients_hold(serve_http: Any, stdio_features: Any) -> None:
    with anyio.fail_after(20):
        async with (
            serve_http({"mcpServers": {"up": stdio_features}}) as (gateway, url),
            httpx2.AsyncClient() as http,
        ):
            await gateway.upstreams["up"].connect()
            status = url.replace("/mcp", "/status")
            before = (await http.get(status)).json()
            tasks, servers = before.pop("tasks"), before.pop("servers")
            assert before == IDLE
            assert tasks > 0
            assert servers == {"up": {"state": "up", "era": "modern", "links": 0}}
            async with Client(url, mode="legacy"):
                assert (await http.get(status)).json()["sessions"] == 1
            async with (
                Client(url, mode="2026-07-28") as client,
                client.listen(tools_list_changed=True),
            ):
                assert (await http.get(status)).json()["streams"] == 1


async def test_the_status_is_behind_the_token_and_the_checks_of_the_host(serve_http: Any) -> None:
    config = {"mcpServers": {}, "gateway": {"token": "let-me-in"}}
    async with serve_http(config) as (_, url), httpx2.AsyncClient() as http:
        status = url.replace("/mcp", "/status")
        allowed = {"Authorization": "Bearer let-me-in"}
        assert (await http.get(status)).status_code == 401
        assert (await http.get(status, headers=allowed)).status_code == 200
        assert (await http.post(status, headers=allowed)).status_code == 405
        rebound = {**allowed, "Host": "evil.example"}
        assert (await http.get(status, headers=rebound)).status_code == 421
