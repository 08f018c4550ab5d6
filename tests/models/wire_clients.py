"""MCP clients without the SDK, over both transports and in both eras, that lose nothing."""

import json
import os
import select
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2

Message = dict[str, Any]

MODERN, LEGACY = "2026-07-28", "2025-11-25"
SECONDS = 20
"""How long to wait for the next message."""
INFO = {"name": "raw", "version": "0"}
CAPABILITIES: Message = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}


@dataclass(slots=True)
class Exchange:
    """What came of one request."""

    answer: Message = field(default_factory=dict[str, Any])
    """The message with its result or error."""
    notices: list[Message] = field(default_factory=list[Message])
    """The notifications that came before it."""
    questions: list[Message] = field(default_factory=list[Message])
    """What was asked meanwhile: objects with method and params."""


class RawClient(ABC):
    """A client of one era; a transport posts its messages."""

    def __init__(self, *, modern: bool) -> None:
        self.modern = modern
        self.capabilities = CAPABILITIES
        """What it declares with each request of the stateless era."""
        self.answers: dict[str, Message] = {}
        """What it answers, by the method of the question; it has no roots unless told so."""
        self._ids = count(1)

    def begin(self) -> None:
        """Shake hands, where the era has a handshake."""
        if not self.modern:
            given = {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "clientInfo": INFO}
            self.request("initialize", given)
            self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
            self.request("logging/setLevel", {"level": "debug"})

    def request(self, method: str, params: Message) -> Exchange:
        """Send a request and answer questions, until its result or error is there."""
        got = Exchange()
        given = params
        while True:
            self._exchange(method, given, got)
            result = got.answer.get("result", {})
            if result.get("resultType") != "input_required":
                return got
            asked = result["inputRequests"]
            got.questions += asked.values()
            answers = {key: self._answer(each["method"]) for key, each in asked.items()}
            state = {"requestState": result["requestState"]} if "requestState" in result else {}
            given = {**params, "inputResponses": answers, **state}

    def _exchange(self, method: str, params: Message, got: Exchange) -> None:
        ident = f"r{next(self._ids)}"
        own = {**params, "_meta": self._meta(params)} if self.modern else params
        for message in self._send({"jsonrpc": "2.0", "id": ident, "method": method, "params": own}):
            if "method" not in message:
                assert message["id"] == ident
                got.answer = message
            elif "id" in message:
                question = {"method": message["method"]}
                if "params" in message:
                    question["params"] = message["params"]
                got.questions.append(question)
                self._post(
                    {
                        "jsonrpc": "2.0",
                        "id": message["id"],
                        "result": self._answer(message["method"]),
                    }
                )
            else:
                got.notices.append(message)

    def _answer(self, method: str) -> Message:
        return self.answers.get(method, {"roots": []})

    def _meta(self, params: Message) -> Message:
        return {
            **params.get("_meta", {}),
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            "io.modelcontextprotocol/clientInfo": INFO,
            "io.modelcontextprotocol/logLevel": "debug",
        }

    @abstractmethod
    def _send(self, message: Message) -> Iterator[Message]:
        """Send a request, and return the messages up to its answer."""

    @abstractmethod
    def _post(self, message: Message) -> None:
        """Send what has no answer."""


class HttpClient(RawClient):
    """A client over streamable HTTP."""

    def __init__(self, http: httpx2.Client, url: str, *, modern: bool) -> None:
        super().__init__(modern=modern)
        self._http = http
        self._url = url
        self._session = ""

    def _send(self, message: Message) -> Iterator[Message]:
        with self._http.stream(
            "POST", self._url, content=encoded(message), headers=self._headers(message)
        ) as response:
            self._session = response.headers.get("mcp-session-id", self._session)
            if not response.headers["content-type"].startswith("text/event-stream"):
                yield json.loads(response.read())
                return
            rest = b""
            for chunk in response.iter_bytes():
                *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
                for line in lines:
                    if line.startswith(b"data:") and (data := line[5:].strip()):
                        yield json.loads(data)

    def _post(self, message: Message) -> None:
        self._http.post(
            self._url, content=encoded(message), headers=self._headers(message)
        ).raise_for_status()

    def _headers(self, message: Message) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        params = message.get("params", {})
        if self.modern:
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
            if isinstance(name := params.get("name", params.get("uri")), str):
                headers["Mcp-Name"] = name
        elif self._session:
            headers |= {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": self._session}
        return headers


class PipeClient(RawClient):
    """A client of a program that speaks on its standard input and output."""

    def __init__(self, program: "subprocess.Popen[bytes]", *, modern: bool) -> None:
        super().__init__(modern=modern)
        self._program = program
        self._rest = b""

    def _send(self, message: Message) -> Iterator[Message]:
        self._post(message)
        while True:
            got: Message = json.loads(self._line())
            yield got
            if "method" not in got:
                return

    def _post(self, message: Message) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(encoded(message) + b"\n")
        self._program.stdin.flush()

    def _line(self) -> bytes:
        stdout = self._program.stdout
        assert stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([stdout], [], [], SECONDS)
            assert ready, f"nothing came within {SECONDS} s"
            chunk = os.read(stdout.fileno(), 65536)
            assert chunk, "the program has ended"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def encoded(message: Message) -> bytes:
    """Write a message as few would, but all may: without escapes."""
    return json.dumps(message, ensure_ascii=False).encode()


@contextmanager
def program(
    command: list[str], pass_fds: Sequence[int] = ()
) -> "Generator[subprocess.Popen[bytes]]":
    """Run a program for a block."""
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, pass_fds=pass_fds)
    try:
        yield child
    finally:
        child.terminate()
        child.communicate(timeout=SECONDS)
