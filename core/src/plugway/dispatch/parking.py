"""Requests that wait in a server of the handshake era until a client of the stateless era answers.

The server asks in the middle of the request and waits; the client gets the question as its result
(`input_required`) and answers with another request. Between the two, the first one is parked here.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from secrets import token_urlsafe
from typing import Any

import anyio
from anyio.abc import TaskGroup

from plugway.dispatch.exchange import Request
from plugway.dispatch.sealing import replayed
from plugway.jsonrpc import TOO_MANY, RpcError
from plugway.shares import Shares, user_of
from plugway_hookspecs.frozen import EMPTY

MAX_PARKED = 1000
"""How many requests may be parked; each keeps a server busy."""

MAX_PARKED_BY_ONE = 250
"""How many of them may be of one user, where it is known who is asking."""

MAX_PENDING = 100
"""How many questions of one request may wait for their answers."""


class Park:
    """One request, from its first round to its last."""

    def __init__(self, request: Request, give_back: Callable[[], None]) -> None:
        """Begin with the request of the first round; `give_back` is called when it is forgotten."""
        self.give_back = give_back
        self.id = token_urlsafe(18)
        self.turn = 0
        """How often it has been left to the client."""
        self.scope = anyio.CancelScope()
        self._request: Request | None = request
        self._late: dict[str, Any] | None = None
        """Progress that the server has reported while the client was away."""
        self._asked = 0
        self._pending: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, dict[str, Any] | RpcError] = {}
        self._changed = anyio.Event()
        self._result: dict[str, Any] | None = None
        self._error: Exception | None = None

    @property
    def left(self) -> bool:
        """Whether it waits for the client to come back."""
        return self._request is None

    @property
    def done(self) -> bool:
        """Whether the server has answered."""
        return self._result is not None or self._error is not None

    async def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Take a server's question, and return the answer once the client has brought it.

        Raises the `RpcError` that stands for an answer.
        """
        if len(self._pending) >= MAX_PENDING:
            raise RpcError(TOO_MANY, f"{MAX_PENDING} questions wait for the client; ask later")
        self._asked += 1
        key = f"{self.turn}-{self._asked}"
        kept = {name: value for name, value in params.items() if name not in _OF_A_PUSH}
        self._pending[key] = {"method": method, "params": kept} if kept else {"method": method}
        self._wake()
        try:
            while key not in self._answers:
                await self._changed.wait()
        finally:
            self._pending.pop(key, None)
        answer = self._answers.pop(key)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    async def run(self, send: Awaitable[dict[str, Any]]) -> None:
        """Wait for the server's answer, however many rounds that takes."""
        with self.scope:
            try:
                self._result = await send
            except Exception as error:  # noqa: BLE001 - raised in the round that waits for it
                self._error = error
            self._wake()
            while self.left:  # the client may still come for it, within its time
                await self._changed.wait()
        if not self.done:
            self._error = replayed
            self._wake()

    async def next_turn(self) -> dict[str, Any]:
        """Return the server's answer, or an `input_required` result with what it asks."""
        if self._late is not None:
            await self.progress(self._late)
        while not self.done and not self._pending:
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        if self._result is not None:
            return self._result
        return {"resultType": "input_required", "inputRequests": dict(self._pending)}

    def resume(self, request: Request, answers: Mapping[str, dict[str, Any] | RpcError]) -> None:
        """Go on with another round of the client."""
        self._request = request
        self.scope.deadline = float("inf")
        self.give(answers)

    def give(self, answers: Mapping[str, dict[str, Any] | RpcError]) -> None:
        """Answer some of the questions, or refuse to; what was not asked is left out."""
        for key, answer in answers.items():
            if self._pending.pop(key, None) is not None:
                self._answers[key] = answer
        self._wake()

    def leave(self, seconds: float) -> None:
        """Leave it to the client to come back within some seconds."""
        self.turn += 1
        self._request = None
        self.scope.deadline = anyio.current_time() + seconds

    async def progress(self, params: dict[str, Any]) -> None:
        """Pass progress on to the round that waits, or keep the latest for the next one."""
        if self._request is None:
            self._late = params
            return
        self._late = None  # this is later
        if self._request.on_progress is not None:
            await self._request.on_progress(params)

    async def log(self, params: dict[str, Any]) -> None:
        """Pass a log message on to the round that waits, if one does."""
        if self._request is not None and self._request.on_log is not None:
            await self._request.on_log(params)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


_TOO_MANY_BY_ONE = (
    "Too many of your requests wait for your answers; answer some, or try again later"
)

_OF_A_PUSH = frozenset({"_meta", "elicitationId", "task"})
"""What belongs to the push of a question, not to the question."""


Send = Callable[[Park], Awaitable[dict[str, Any]]]
"""Sends a request to its server, with what is to happen meanwhile."""


class Parks:
    """All parked requests; they run in a task group of the gateway's."""

    def __init__(self, tasks: TaskGroup | None = None, ttl: float = 600.0) -> None:
        """Keep what a client has left for at most `ttl` seconds; without `tasks`, park nothing."""
        self.ttl = ttl
        self._tasks = tasks
        self._parks: dict[str, Park] = {}
        self._shares = Shares(MAX_PARKED_BY_ONE, _TOO_MANY_BY_ONE)

    def __len__(self) -> int:
        return len(self._parks)

    def start(
        self,
        request: Request,
        send: Send,
        held: AbstractContextManager[Any],
    ) -> Park:
        """Send a request that may have to be parked; `held` is entered until the server answers."""
        if self._tasks is None or len(self._parks) >= MAX_PARKED:
            message = "Too many requests wait for answers of their clients; try again later"
            raise RpcError(TOO_MANY, message)
        park = Park(request, self._shares.take(user_of(request.principal)))
        self._parks[park.id] = park
        self._tasks.start_soon(self._run, park, send, held)
        return park

    async def _run(
        self,
        park: Park,
        send: Send,
        held: AbstractContextManager[Any],
    ) -> None:
        async def sent() -> dict[str, Any]:
            with held:
                return await send(park)

        try:
            await park.run(sent())
        finally:
            if park.left:
                self._forget(park)

    def resume(
        self,
        ident: str,
        turn: int,
        request: Request,
        answers: Mapping[str, dict[str, Any] | RpcError] = EMPTY,
    ) -> Park:
        """Go on with a parked request; raises `RpcError` if it does not wait for this."""
        park = self._parks.get(ident)
        if park is None or park.turn != turn or not park.left:
            raise replayed
        park.resume(request, answers)
        return park

    def give_up(self, park: Park) -> None:
        """End a request that nobody will come back for."""
        self._forget(park)
        park.scope.cancel()

    def _forget(self, park: Park) -> None:
        self._parks.pop(park.id, None)
        park.give_back()

    async def wait(self, park: Park) -> dict[str, Any]:
        """Return what a round comes to; the request ends with the round, unless it is parked."""
        parked = False
        try:
            result = await park.next_turn()
            parked = not park.done
        finally:
            if parked:
                park.leave(self.ttl)
            else:
                self.give_up(park)
        return result


@asynccontextmanager
async def open_parks(ttl: float) -> AsyncGenerator[Parks]:
    """Offer a place for parked requests; those that are left when the block ends are given up."""
    async with anyio.create_task_group() as tasks:
        try:
            yield Parks(tasks, ttl)
        finally:
            tasks.cancel_scope.cancel()
