"""Clients and servers of other people, installed once, and led through the gateway."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from foreign_peers import (
    TOURING,
    Peers,
    gateway_command,
    gateway_over_http,
    install_fastmcp,
    install_packages,
    node,
    run,
)
from foreign_tours import Chapter, Route, Seen, answers, chapters

Tour = Callable[[Route, str], Seen]


@pytest.fixture(scope="session")
def peers() -> Peers:
    install_packages()
    return Peers(node=node(), fastmcp=install_fastmcp())


@pytest.fixture(scope="session")
def urls(peers: Peers) -> Iterator[dict[str, str]]:
    """The servers over HTTP, by name; one of each for all."""
    with peers.everything_http() as everything, peers.portable_http() as portable:
        yield {"everything-http": everything, "Portable_HTTP": portable}


@pytest.fixture(scope="session")
def tour(
    peers: Peers, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Route, str], Seen]:
    """Return what a client saw of a server on its way; each goes once, to a gateway of its own."""

    def target(route: Route, folder: Path, stack: ExitStack) -> dict[str, object]:
        servers = peers.servers(urls, folder)
        if route.to != "gateway":
            return servers[route.to]
        config = folder / "plugway.yaml"
        config.write_text(json.dumps({"mcpServers": servers}))
        if route.transport == "http":
            return {"url": stack.enter_context(gateway_over_http(config))}
        command, *arguments = gateway_command(config, "--stdio")
        return {"command": command, "args": arguments}

    @cache
    def document(route: Route) -> tuple[str | None, dict[str, Chapter]]:
        folder = tmp_path_factory.mktemp("tour")
        with ExitStack() as stack:
            plan = {
                "target": target(route, folder, stack),
                "era": route.era,
                "answers": answers(folder / "files"),
                "chapters": chapters(route, folder / "files"),
            }
            said = run(*peers.client(route.client), given=json.dumps(plan), timeout=TOURING)
        found = json.loads(said)
        return found["version"], {
            name: Chapter(**chapter) for name, chapter in found["chapters"].items()
        }

    def toured(route: Route, server: str) -> Seen:
        return Seen(route, server, *document(route))

    return toured
