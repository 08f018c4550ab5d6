"""`plugway host` in a process of its own, with one plugin kind: `guard`.

The tests give it the command's own arguments.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from importlib_metadata import EntryPoint

from plugway.config import Config
from plugway.plugins.discovery import Discovery, KindSource
from plugway.plugins.opening import open_registry
from plugway_external_bridge.commands import host
from plugway_hookspecs import Deny, Plugin, PluginRunner, ToolCall, hookimpl


class Guard(Plugin):
    @hookimpl
    def plugin_startup(self) -> None:
        sys.stdout.write("starting\n")  # where a client reads messages, this would be one

    @hookimpl
    async def tool_pre_invoke(self, payload: ToolCall) -> Any:
        sys.stdout.write(f"asked about {payload.name}\n")
        if payload.name == "forbidden":
            return Deny("no", "mine", details={"n": 2**60 + 1})
        return payload.replace(arguments={**payload.arguments, "n": 2**60 + 1})

    @hookimpl
    async def plugin_shutdown(self) -> None:
        sys.stderr.write("shut down\n")


class GuardKind(KindSource):
    def load(self) -> type[Plugin]:
        return Guard


class App:
    @asynccontextmanager
    async def open_plugins(self, config: Path | None) -> AsyncGenerator[PluginRunner]:
        point = EntryPoint("guard", "hosting:Guard", "plugway.plugins.v1")
        discovery = Discovery({"guard": GuardKind("guard", point)})
        loaded = Config.model_validate({"plugins": [{"name": "guard", "kind": "guard"}]})
        async with open_registry(loaded, discovery, {}) as registry:
            yield registry

    def report(self, error: BaseException) -> int:
        sys.stderr.write(f"plugway: {error}\n")
        return 1


if __name__ == "__main__":
    host.main(prog_name="host", obj=App())
