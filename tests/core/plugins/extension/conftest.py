"""Packages that extend the gateway: installed on disk, opened as a registry or behind HTTP."""

import json
import sys
import textwrap
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plugway.config import parse
from plugway.downstream.http import HttpServer, http_app
from plugway.gateway import Gateway, open_gateway
from plugway.plugins.discovery import discover
from plugway.plugins.opening import open_registry
from plugway.plugins.registry import Registry

HEAD = """
from dataclasses import dataclass

from plugway_hookspecs import *
from plugway_hookspecs import hookimpl, hookspec
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package whose kinds are the classes that are named, or the module itself."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    installed: list[str] = []

    def install(name: str, source: str, *classes: str, version: str = "1.0") -> None:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(HEAD + textwrap.dedent(source))
        folder = site / f"{module}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}")
        points = [f"{each.lower()} = {module}:{each}" for each in classes] or [f"{module}={module}"]
        lines = ["[plugway.plugins.v1]", *points]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)


@pytest.fixture
def opened() -> Callable[..., AbstractAsyncContextManager[Registry]]:
    """Start plugins, given as entries of a configuration or as the names of kinds."""

    @asynccontextmanager
    async def start(
        *plugins: str | Mapping[str, Any], strict: bool = True
    ) -> AsyncGenerator[Registry]:
        entries = [{"name": p, "kind": p} if isinstance(p, str) else p for p in plugins]
        text = json.dumps({"plugins": entries})
        config = await anyio.to_thread.run_sync(lambda: parse(text, file=None, env={}))
        found = await anyio.to_thread.run_sync(discover)
        async with open_registry(config, found, {}, strict=strict) as registry:
            yield registry

    return start


@pytest.fixture
def served() -> Callable[..., AbstractAsyncContextManager[tuple[Gateway, str]]]:
    """Serve a configuration over HTTP, in this process; yields the gateway and its address."""

    @asynccontextmanager
    async def serve(**config: Any) -> AsyncGenerator[tuple[Gateway, str]]:
        text = json.dumps(config)
        loaded = await anyio.to_thread.run_sync(lambda: parse(text, file=None, env={}))
        async with open_gateway(loaded) as gateway, anyio.create_task_group() as tasks:
            app = http_app(gateway.edge, gateway.config.gateway, gateway.registry)
            server = HttpServer(app, "127.0.0.1", 0)
            tasks.start_soon(server.serve)
            await server.listening.wait()
            yield gateway, f"http://127.0.0.1:{server.port}"
            server.stop()

    return serve
