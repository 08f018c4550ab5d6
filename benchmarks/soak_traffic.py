"""What the clients of the soak do, and what they expect of the answers."""

import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
import httpx2
from soak_chaos import Server
from soak_peers import Caller, FailedError, SdkPeer, sdk_peer
from soak_raw import RawPeer, raw_peer

TOOLS = {"echo", "count", "hang", "hanging", "ask", "touch"}
SERVER_TIMEOUT = 4.0
"""Seconds that the gateway gives a server for one request."""
PATIENCE = 40.0
"""Seconds after which an answer is missing."""

Peer = SdkPeer | RawPeer
UNAVAILABLE = "plugway/unavailable"

KINDS = ("raw modern", "raw legacy", "SDK modern", "SDK legacy")


@dataclass(slots=True, eq=False)
class Findings:
    """What came of it."""

    calls: Counter[str] = field(default_factory=Counter[str])
    """By kind of client and what it did."""
    errors: Counter[str] = field(default_factory=Counter[str])
    """By cause, which is the state of the server that was asked."""
    wrong: list[str] = field(default_factory=list[str])
    """What must not be: wrong answers, and errors without a cause."""

    def add(self, what: str) -> None:
        """Note what must not be."""
        self.wrong.append(what)


class WrongAnswerError(Exception):
    """An answer that is not the one to what was asked."""


def expect(got: object, wanted: object) -> None:
    """Raise if it is not what was wanted."""
    if got != wanted:
        raise WrongAnswerError(f"got {got!r} instead of {wanted!r}")


class Traffic:
    """Clients that come, do a few things, some of them at once, and go."""

    def __init__(self, url: str, servers: list[Server], rng: random.Random) -> None:
        """Ask the gateway at `url`."""
        self.findings = Findings()
        self._url = url
        self._servers = servers
        self._rng = rng
        self._programs = anyio.CapacityLimiter(3)
        """Clients that have programs of their own, each of which takes a second to start."""

    async def run(self, workers: int) -> None:
        """Go on until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(workers):
                tasks.start_soon(self._come_and_go)

    async def _come_and_go(self) -> None:
        while True:
            kind = self._rng.choice(KINDS)
            try:
                with anyio.fail_after(3 * PATIENCE):
                    await self._visit(kind, asks=self._rng.random() < 0.5)
            except* TimeoutError:
                self.findings.add(f"{kind}: a client did not get away")
            except* (FailedError, httpx2.HTTPError, OSError) as errors:
                self.findings.add(f"{kind}: a client could not connect: {errors.exceptions!r}")
            await anyio.sleep(self._rng.uniform(0, 0.1))

    async def _visit(self, kind: str, *, asks: bool) -> None:
        caller = Caller(self.findings.add)
        async with self._connected(kind, caller, asks=asks) as peer:
            for _ in range(self._rng.randint(1, 4)):
                async with anyio.create_task_group() as tasks:
                    for _ in range(self._rng.randint(1, 3)):
                        tasks.start_soon(self._act, kind, peer, caller, asks)

    @asynccontextmanager
    async def _connected(self, kind: str, caller: Caller, *, asks: bool) -> AsyncGenerator[Peer]:
        modern = kind.endswith("modern")
        if kind.startswith("SDK"):
            async with sdk_peer(self._url, caller, modern=modern, asks=asks) as peer:
                yield peer
            return
        polite = self._rng.random() < 0.7
        async with raw_peer(self._url, caller, modern=modern, asks=asks, polite=polite) as raw:
            yield raw

    async def _act(self, kind: str, peer: Peer, caller: Caller, asks: bool) -> None:
        server = self._rng.choice(self._servers)
        actions = [self._echo, self._echo, self._count, self._list, self._read, self._cancel]
        actions += [self._ask, self._ask] if asks else [self._follow]
        await self.attempt(self._rng.choice(actions), kind, peer, caller, server)

    async def attempt(
        self,
        action: Callable[[Peer, Server, str], Awaitable[None]],
        kind: str,
        peer: Peer,
        caller: Caller,
        server: Server,
    ) -> None:
        """Do one thing, and note what came of it."""
        began, token = anyio.current_time(), uuid4().hex
        what = f"{kind}, {action.__name__.strip('_')}"
        caller.tokens.add(token)
        failure = ""
        try:
            with anyio.fail_after(PATIENCE):
                await action(peer, server, token)
        except* FailedError as errors:
            failure = str(_first(errors))
        except* WrongAnswerError as errors:
            self.findings.add(f"{what}, {server.name}: {_first(errors)}")
        except* TimeoutError:
            self.findings.add(f"{what}, {server.name}: no answer within {PATIENCE:g} s")
        except* (httpx2.HTTPError, OSError, KeyError, ValueError) as errors:
            self.findings.add(f"{what}, {server.name}: {_first(errors)!r}")
        finally:
            caller.tokens.discard(token)
            caller.past.add(token)
        self.findings.calls[what] += 1
        if failure:
            self._failed(what, server, failure, began)

    def _failed(self, what: str, server: Server, failure: str, began: float) -> None:
        """Note an error; it has to name the server, which has to be disturbed."""
        if not server.excuses(began, anyio.current_time()):
            at = f"{anyio.current_time():.1f}"
            self.findings.add(f"{what}: an error though {server.name} is up, at {at}: {failure}")
        elif repr(server.name) not in failure:
            self.findings.add(f"{what}: an error that does not name {server.name}: {failure}")
        else:
            cause = "too late" if "within" in failure else "unavailable"
            self.findings.errors[f"server disturbed, {cause}"] += 1

    async def _echo(self, peer: Peer, server: Server, token: str) -> None:
        text = await peer.call(f"{server.name}__echo", {"token": token})
        expect(text, f"{server.name} {token}")

    async def _count(self, peer: Peer, server: Server, token: str) -> None:
        heard: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            del total
            heard.append(progress)
            if message is not None:
                expect(message, f"{server.name} {token} {progress:g}")

        up_to = self._rng.randint(1, 10)
        arguments = {"token": token, "up_to": up_to}
        text = await peer.call(f"{server.name}__count", arguments, hear)
        expect(text, f"{server.name} {token}")
        expect(heard, [float(n) for n in range(1, up_to + 1)])

    async def _ask(self, peer: Peer, server: Server, token: str) -> None:
        async def ask() -> None:
            text = await peer.call(f"{server.name}__ask", {"token": token})
            expect(text, f"{server.name} {token} re:{token}")

        if server.http or server.era == "modern":
            await ask()
            return
        async with self._programs:
            await ask()

    async def _list(self, peer: Peer, server: Server, token: str) -> None:
        del server, token
        began = anyio.current_time()
        result = await peer.tools()
        names = {tool["name"] for tool in result["tools"]}
        meta: dict[str, Any] = result.get("_meta") or {}
        missing: set[str] = {each["server"] for each in meta.get(UNAVAILABLE, ())}
        for each in self._servers:
            if each.name in missing:
                if not each.excuses(began, anyio.current_time()):
                    raise WrongAnswerError(f"the tools of {each.name} are said to be missing")
                names = {name for name in names if not name.startswith(f"{each.name}__")}
        there = [each.name for each in self._servers if each.name not in missing]
        expect(names, {f"{name}__{tool}" for name in there for tool in TOOLS})

    async def _read(self, peer: Peer, server: Server, token: str) -> None:
        text = await peer.read(f"{server.name}+soak://{token}")
        expect(text, f"{server.name} soak://{token}")
        text = await peer.prompt(f"{server.name}__greet", {"token": token})
        expect(text, f"{server.name} {token}")

    async def _cancel(self, peer: Peer, server: Server, token: str) -> None:
        with anyio.move_on_after(self._rng.uniform(0, 0.5)):
            await peer.call(f"{server.name}__hang", {"token": token})
            raise WrongAnswerError("an answer to a call that never ends")

    async def _follow(self, peer: Peer, server: Server, token: str) -> None:
        """Follow a resource that others follow as well, and have it changed."""
        inward = f"soak://{self._rng.choice('abc')}"
        began = anyio.current_time()
        async with peer.following(f"{server.name}+{inward}") as changed:
            text = await peer.call(f"{server.name}__touch", {"token": token, "uri": inward})
            expect(text, f"{server.name} {token}")
            with anyio.move_on_after(PATIENCE / 2):  # a reload may be in between
                await changed.wait()
                return
        if not server.excuses(began, anyio.current_time()):
            raise WrongAnswerError(f"nobody told of a change of {inward}")

    async def left_hanging(self) -> list[str]:
        """Return what each server says, that is up, of calls which should have been cancelled."""
        caller = Caller(self.findings.add)
        left: list[str] = []
        async with raw_peer(self._url, caller, modern=True, asks=False, polite=True) as peer:
            for server in self._servers:
                text = await peer.call(f"{server.name}__hanging", {})
                if text != f"{server.name} 0":
                    left.append(text)
        return left


def _first(errors: BaseExceptionGroup[Exception]) -> Exception:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
