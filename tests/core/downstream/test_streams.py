"""What one `subscriptions/listen` stream hears, and how often."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY

VERSION = "2026-07-28"
LISTEN = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscriptions/listen",
    "params": {
        "notifications": {"toolsListChanged": True, "promptsListChanged": True},
        "_meta": {
            PROTOCOL_VERSION_META_KEY: VERSION,
            CLIENT_CAPABILITIES_META_KEY: {},
            CLIENT_INFO_META_KEY: {"name": "raw", "version": "0"},
        },
    },
}


async def test_a_burst_of_changes_is_told_once_and_ends_no_stream(served: Any) -> None:
    async def heard(events: AsyncIterator[dict[str, str]], count: int) -> list[str]:
        return [json.loads((await anext(events))["data"])["method"] for _ in range(count)]

    with anyio.fail_after(20):
        async with served() as gateway:
            headers = {"mcp_protocol_version": VERSION, "mcp_method": "subscriptions/listen"}
            async with gateway.client().stream(LISTEN, **headers) as (_, events):
                assert await heard(events, 1) == ["notifications/subscriptions/acknowledged"]
                for _ in range(2):
                    for _ in range(2000):
                        gateway.gateway.edge.take_over(changed=True)
                    assert sorted(await heard(events, 2)) == [
                        "notifications/prompts/list_changed",
                        "notifications/tools/list_changed",
                    ]
