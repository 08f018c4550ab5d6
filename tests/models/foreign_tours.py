"""Where clients of other people are led: routes, the steps of a tour, and what was seen on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

MODERN = "2026-07-28"
SERVERS = ("everything", "everything-http", "files", "memory", "portable", "Portable_HTTP")
_SCHEMES = {"Portable_HTTP": "portable-http"}  # clients that parse URIs accept no other
DYNAMIC = "demo://resource/dynamic/text/7"
MEMO = "memo://today"
ROOT_NAME = "the project"

Chapters = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Route:
    """Which client goes where, how, and in which era."""

    client: str
    transport: str
    era: str
    to: str = "gateway"
    """The gateway, or a server that the client reaches directly: is the script itself right?"""

    def __str__(self) -> str:
        return f"{self.client}-{self.transport}-{self.era}-{self.to}"

    @property
    def servers(self) -> tuple[str, ...]:
        return SERVERS if self.to == "gateway" else (self.to,)

    def name(self, server: str, name: str) -> str:
        """Return the name that this client knows a tool or prompt by."""
        return f"{server}__{name}" if self.to == "gateway" else name

    def uri(self, server: str, uri: str) -> str:
        """Return the URI that this client knows a resource by."""
        return f"{_SCHEMES.get(server, server)}+{uri}" if self.to == "gateway" else uri


BOTH, ERAS = ("http", "stdio"), ("legacy", "auto", "modern")
THROUGH = [
    *(Route("ts_v1", transport, "legacy") for transport in BOTH),
    *(Route("ts_v2", transport, era) for transport, era in product(BOTH, ERAS)),
    *(Route("fastmcp", transport, era) for transport, era in product(BOTH, ERAS)),
]
TO_EVERYTHING = [
    Route(client, "stdio", "legacy", "everything") for client in ("ts_v1", "ts_v2", "fastmcp")
]
TO_EVERYTHING_HTTP = [
    Route(client, "http", "legacy", "everything-http") for client in ("ts_v1", "ts_v2", "fastmcp")
]
TO_PORTABLE = [
    Route("ts_v1", "stdio", "legacy", "portable"),
    *(Route(client, "stdio", "modern", "portable") for client in ("ts_v2", "fastmcp")),
]
TO_PORTABLE_HTTP = [
    Route(client, "http", "modern", "Portable_HTTP") for client in ("ts_v2", "fastmcp")
]


@dataclass(frozen=True)
class Chapter:
    """What a client saw in one chapter of its tour."""

    answers: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def only(self) -> dict[str, Any]:
        """Return the one answer of a chapter with one step, which must not have failed."""
        (answer,) = self.answers
        assert "error" not in answer, answer
        return answer

    def texts(self) -> list[str]:
        """Return the texts in the one answer, of a tool that did not fail."""
        answer = self.only()
        assert not answer.get("isError"), answer
        return [block["text"] for block in answer["content"] if block["type"] == "text"]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


@dataclass(frozen=True)
class Seen:
    """What a client saw of one server, or of all of them."""

    route: Route
    server: str
    version: str | None
    chapters: dict[str, Chapter]

    def __getitem__(self, topic: str) -> Chapter:
        return self.chapters[f"{self.server}/{topic}"]

    def name(self, name: str) -> str:
        return self.route.name(self.server, name)

    def uri(self, uri: str) -> str:
        return self.route.uri(self.server, uri)


def chapters(route: Route, folder: Path) -> Chapters:
    """Return the plan of a tour; `folder` is what the filesystem server may read and write."""
    plan: Chapters = {
        "all/lists": [{"list": what} for what in ("tools", "prompts", "resources", "templates")]
    }
    for server in route.servers:
        steps = _Steps(route, server)
        for topic, taken in _TOPICS[server](steps, folder):
            plan[f"{server}/{topic}"] = taken
    return plan


class _Steps:
    """Make steps with the names that the client knows."""

    def __init__(self, route: Route, server: str) -> None:
        self._route = route
        self._server = server

    def call(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return {"call": {"name": self._route.name(self._server, name), "arguments": arguments}}

    def get(self, name: str, /, **arguments: str) -> dict[str, Any]:
        return {"get": {"name": self._route.name(self._server, name), "arguments": arguments}}

    def read(self, uri: str) -> dict[str, Any]:
        return {"read": {"uri": self._route.uri(self._server, uri)}}

    def complete(self, prompt: str, argument: str, begun: str, /, **given: str) -> dict[str, Any]:
        ref = {"type": "ref/prompt", "name": self._route.name(self._server, prompt)}
        step: dict[str, Any] = {"ref": ref, "argument": {"name": argument, "value": begun}}
        if given:
            step["context"] = {"arguments": given}
        return {"complete": step}

    def follow(self, uri: str, *change: dict[str, Any]) -> list[dict[str, Any]]:
        """Subscribe, change the resource, wait to hear of it, and leave again."""
        where = {"uri": self._route.uri(self._server, uri)}
        return [{"subscribe": where}, *change, {"await": "updated"}, {"unsubscribe": where}]


Topics = Iterator[tuple[str, list[dict[str, Any]]]]


def _everything(steps: _Steps, _folder: Path) -> Topics:
    yield "text", [steps.call("echo", message="hi")]
    yield "structured", [steps.call("get-structured-content", location="Chicago")]
    yield "image", [steps.call("get-tiny-image")]
    yield "links", [steps.call("get-resource-links", count=2)]
    yield "unknown", [steps.call("nothing")]
    yield "invalid", [steps.call("get-sum", a="one", b=2)]
    yield "prompt", [steps.get("args-prompt", city="Rome")]
    yield "read", [steps.read(DYNAMIC)]
    yield (
        "completion",
        [steps.complete("completable-prompt", "name", "A", department="Engineering")],
    )
    yield "progress", [steps.call("trigger-long-running-operation", duration=0.6, steps=6)]
    yield "elicitation", [steps.call("trigger-elicitation-request")]
    yield "sampling", [steps.call("trigger-sampling-request", prompt="why?")]
    yield "roots", [steps.call("get-roots-list")]
    toggle = steps.call("toggle-subscriber-updates")
    yield "subscription", [*steps.follow(DYNAMIC, toggle), toggle]


def _files(steps: _Steps, folder: Path) -> Topics:
    file = str(folder / "note.txt")
    write = steps.call("write_file", path=file, content="written through the client")
    yield "written", [write, steps.call("read_text_file", path=file)]
    yield "outside", [steps.call("read_text_file", path="/etc/hostname")]


def _memory(steps: _Steps, _folder: Path) -> Topics:
    ada = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
    yield "kept", [steps.call("create_entities", entities=[ada]), steps.call("read_graph")]


def _portable(steps: _Steps, _folder: Path) -> Topics:
    yield "structured", [steps.call("greet", name="Ada")]
    yield "prompt", [steps.get("visit", city="Rome")]
    yield "read", [steps.read(MEMO)]
    yield "completion", [steps.complete("visit", "city", "P")]
    yield "elicitation", [steps.call("book", what="dinner")]
    yield "advice", [steps.call("consult")]
    yield "subscription", steps.follow(MEMO, steps.call("touch"))


_TOPICS: dict[str, Callable[[_Steps, Path], Topics]] = {
    "everything": _everything,
    "everything-http": _everything,
    "files": _files,
    "memory": _memory,
    "portable": _portable,
    "Portable_HTTP": _portable,
}


def answers(folder: Path) -> dict[str, Any]:
    """Return what clients answer when a server asks them."""
    reply = {"type": "text", "text": "because"}
    return {
        "elicitation": {"action": "accept", "content": {"name": "Ada"}},
        "sampling": {"model": "a model", "role": "assistant", "content": reply},
        "roots": {"roots": [{"uri": folder.as_uri(), "name": ROOT_NAME}]},
    }
