"""What a server's program writes besides JSON-RPC."""

import logging
from collections import deque

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.abc import ByteReceiveStream

from plugway.upstream.hints import WRITES_TO_STDOUT, from_stderr

LINES = 20
CHARACTERS = 4096


class Output:
    """The end of a program's standard error, and whether it strays onto its standard output.

    Every line of standard error is logged at DEBUG under `plugway.upstream.<server>`; an endless
    line is cut, so that no program can fill the memory.
    """

    def __init__(self, server: str) -> None:
        self._log = logging.getLogger(f"plugway.upstream.{server}")
        self._server = server
        self._lines: deque[str] = deque(maxlen=LINES)
        self._rest = b""
        self._strayed = False
        self.exit_code: int | None = None
        """The program's exit code, once it has ended; negative for a signal."""

    @property
    def tail(self) -> str:
        """The last lines of standard error."""
        return "\n".join([*self._lines, *([_text(self._rest)] if self._rest else [])])[-CHARACTERS:]

    @property
    def hint(self) -> str:
        """What the output suggests against a failure, or the empty string."""
        return from_stderr(self.tail) or (WRITES_TO_STDOUT if self._strayed else "")

    def clear(self) -> None:
        """Forget everything: another program begins."""
        self._lines.clear()
        self._rest = b""
        self._strayed = False
        self.exit_code = None

    def stray(self) -> None:
        """Note a line on standard output that is not JSON-RPC; the first one is worth a warning."""
        if not self._strayed:
            self._strayed = True
            self._log.warning("server %r: %s", self._server, WRITES_TO_STDOUT)

    async def follow(self, stderr: ByteReceiveStream) -> None:
        """Read standard error to its end, so that the program never blocks on it."""
        try:
            while True:
                self._feed(await stderr.receive())
        except (EndOfStream, ClosedResourceError, BrokenResourceError, OSError):
            self._feed(b"\n" if self._rest else b"")

    def _feed(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-CHARACTERS:]
        for line in map(_text, lines):
            self._lines.append(line)
            self._log.debug("%s", line)


def _text(line: bytes) -> str:
    return line[-CHARACTERS:].decode(errors="replace").rstrip("\r")
