"""Speak JSON-RPC with a child process, one message per line."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from plugway.config import ServerConfig
from plugway.upstream import faults
from plugway.upstream.calls import Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.errors import Fault
from plugway.upstream.lines import Line, LineSplitter
from plugway.upstream.messages import Incoming, Streams, read_message
from plugway.upstream.output import Output
from plugway.upstream.process import spawn, stop

_LOST = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)


@asynccontextmanager
async def stdio_transport(
    config: ServerConfig, calls: Calls, output: Output, retire: Callable[[Fault], None]
) -> AsyncGenerator[Streams]:
    """Start the server's program, and stop it with all its children at the end.

    `retire` is called when the program has closed its input or output, before anybody's request
    fails for it. Raises `OSError` if it can't be started.
    """
    output.clear()
    process = await spawn(config)
    to_session, from_server = anyio.create_memory_object_stream[Incoming]()
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage]()
    reader = _Reader(calls, output, to_session)
    async with anyio.create_task_group() as tasks:
        if process.stdin and process.stdout and process.stderr:
            tasks.start_soon(output.follow, process.stderr)
            tasks.start_soon(reader.follow, process.stdout, retire)
            tasks.start_soon(_write, from_session, process.stdin, to_session, retire)
        try:
            with from_server, to_server:
                yield from_server, to_server
        finally:
            await stop(process)
            output.exit_code = process.returncode
            tasks.cancel_scope.cancel()


async def _write(
    messages: MemoryObjectReceiveStream[SessionMessage],
    stdin: ByteSendStream,
    to_session: MemoryObjectSendStream[Incoming],
    retire: Callable[[Fault], None],
) -> None:
    with messages:
        try:
            async for item in messages:
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await stdin.send(line.encode() + b"\n")
        except (*_LOST, RuntimeError):  # RuntimeError is uvloop's word for a closed pipe
            retire(faults.GONE)
            to_session.close()  # the program reads no more: nobody should wait for its answers


class _Reader:
    """Passes on what the program writes."""

    def __init__(
        self, calls: Calls, output: Output, to_session: MemoryObjectSendStream[Incoming]
    ) -> None:
        self._calls = calls
        self._output = output
        self._to_session = to_session

    async def follow(self, stdout: ByteReceiveStream, retire: Callable[[Fault], None]) -> None:
        """Read to the end, even when nobody listens any more: the program must not block."""
        splitter = LineSplitter(MAX_MESSAGE_BYTES)
        listening = True
        with self._to_session:
            try:
                while True:
                    chunk = await stdout.receive()
                    listening = listening and await self._pass_on(splitter.feed(chunk))
            except _LOST:
                retire(faults.GONE)

    async def _pass_on(self, lines: list[Line]) -> bool:
        for line in lines:
            message = read_message(line, self._calls)
            if message is None:
                self._note(line)
                continue
            try:
                await self._to_session.send(SessionMessage(message))
            except _LOST:
                return False
        return True

    def _note(self, line: Line) -> None:
        if line.head.strip():
            self._output.stray()
