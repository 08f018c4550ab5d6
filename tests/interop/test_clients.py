"""What clients of other people see of the gateway itself, over both transports, in every era."""

from collections.abc import Callable

import pytest
from foreign_tours import (
    MODERN,
    THROUGH,
    TO_EVERYTHING,
    TO_EVERYTHING_HTTP,
    TO_PORTABLE,
    TO_PORTABLE_HTTP,
    Route,
    Seen,
)

pytestmark = pytest.mark.interop

TOOLS = {
    "everything": "echo",
    "everything-http": "echo",
    "files": "read_text_file",
    "memory": "read_graph",
    "portable": "greet",
    "Portable_HTTP": "greet",
}
PROMPTS = {
    "everything": "args-prompt",
    "everything-http": "args-prompt",
    "portable": "visit",
    "Portable_HTTP": "visit",
}
RESOURCES = {
    "everything": "demo://resource/static/document/architecture.md",
    "everything-http": "demo://resource/static/document/architecture.md",
    "portable": "memo://today",
    "Portable_HTTP": "memo://today",
}
TEMPLATES = {
    "everything": "demo://resource/dynamic/text/{resourceId}",
    "everything-http": "demo://resource/dynamic/text/{resourceId}",
}

ROUTES = [*THROUGH, *TO_EVERYTHING, *TO_EVERYTHING_HTTP, *TO_PORTABLE, *TO_PORTABLE_HTTP]


@pytest.fixture(scope="session", params=ROUTES, ids=str)
def seen(request: pytest.FixtureRequest, tour: Callable[[Route, str], Seen]) -> Seen:
    return tour(request.param, "all")


def test_the_era_is_the_one_that_was_asked_for(seen: Seen) -> None:
    if seen.version is None:
        assert seen.route.client == "ts_v1"  # over stdio it does not say
        return
    assert (seen.version == MODERN) is (seen.route.era != "legacy")


def test_tools_of_all_servers_are_listed(seen: Seen) -> None:
    listed = {tool["name"] for tool in seen["lists"].answers[0]["tools"]}
    assert {seen.route.name(server, TOOLS[server]) for server in seen.route.servers} <= listed


def test_prompts_of_all_servers_are_listed(seen: Seen) -> None:
    listed = {prompt["name"] for prompt in seen["lists"].answers[1]["prompts"]}
    servers = PROMPTS.keys() & set(seen.route.servers)
    assert {seen.route.name(server, PROMPTS[server]) for server in servers} <= listed


def test_resources_of_all_servers_are_listed(seen: Seen) -> None:
    listed = {resource["uri"] for resource in seen["lists"].answers[2]["resources"]}
    servers = RESOURCES.keys() & set(seen.route.servers)
    assert {seen.route.uri(server, RESOURCES[server]) for server in servers} <= listed


def test_templates_of_all_servers_are_listed(seen: Seen) -> None:
    listed = {found["uriTemplate"] for found in seen["lists"].answers[3]["resourceTemplates"]}
    servers = TEMPLATES.keys() & set(seen.route.servers)
    assert {seen.route.uri(server, TEMPLATES[server]) for server in servers} <= listed
