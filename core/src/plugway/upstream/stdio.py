"""Speak JSON-RPC with a child process, one message per line."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError
from pydantic_core import from_json

from plugway.config import ServerConfig
from plugway.upstream import faults
from plugway.upstream.calls import Calls
from plugway.upstream.connection import MAX_MESSAGE_BYTES
from plugway.upstream.errors import Fault
from plugway.upstream.lines import Line, LineSplitter
from plugway.upstream.output import Output
from plugway.upstream.process import spawn, stop

Incoming = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]

_LOST = (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError)
_ID = re.compile(rb'"id"\s*:\s*"?(\d{1,18})\b')


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
    """Turns lines into messages; a bad line costs the request it answers, and no other."""

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
            message = self._message(line)
            if message is not None:
                try:
                    await self._to_session.send(SessionMessage(message))
                except _LOST:
                    return False
        return True

    def _message(self, line: Line) -> JSONRPCMessage | None:
        if not line.whole:
            return self._refuse(line, faults.TOO_LONG)
        try:
            return jsonrpc_message_adapter.validate_json(line.head, by_name=False)
        except ValidationError:
            return self._refuse(line, faults.NOT_JSON_RPC)

    def _refuse(self, line: Line, fault: Fault) -> JSONRPCMessage | None:
        """Answer the request that a bad line belongs to, if that can be told."""
        request_id = _id_of(line)
        call = self._calls.get(request_id)
        if call is not None and request_id is not None:
            call.fault = fault
            error = ErrorData(code=INTERNAL_ERROR, message=fault.reason)
            return JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
        if line.head.strip():
            self._output.stray()
        return None


def _id_of(line: Line) -> int | None:
    """Return the id that a line seems to answer; only digits, as the gateway mints no others."""
    if not line.head.lstrip().startswith(b"{"):
        return None
    if line.whole:
        try:
            value: Any = from_json(line.head)
        except ValueError:
            pass
        else:
            return _answered(value)
    match = _ID.search(line.tail) or _ID.search(line.head)
    return int(match[1]) if match else None


def _answered(message: Mapping[str, Any]) -> int | None:
    request_id = message.get("id")
    if "method" in message or isinstance(request_id, bool):
        return None
    if isinstance(request_id, str) and request_id.isdecimal():
        return int(request_id)
    return request_id if isinstance(request_id, int) else None
