"""Servers that are told what a client wants: none of them holds up the client, or another."""

from typing import Any

import anyio
import pytest

from plugway.downstream import telling
from plugway.downstream.telling import tell_all
from plugway.testing.memory import MemoryServer


async def test_silent_and_failing_servers_hold_up_neither_the_client_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.1)
    told: list[str] = []
    servers: dict[str, Any] = {name: MemoryServer() for name in ("silent", "mute", "bad", "good")}

    async def tell(server: object) -> None:
        if server in (servers["silent"], servers["mute"]):
            await anyio.sleep_forever()
        if server is servers["bad"]:
            raise OSError("broken")
        told.append("good")

    with anyio.fail_after(5):
        await tell_all(servers, tell)
    assert told == ["good"]
    assert sorted(message.split("'")[1] for message in caplog.messages) == ["bad", "mute", "silent"]
