"""Watch one call: whether it blocks the event loop, and what it prints and logs."""

import io
import logging
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from blockbuster import BlockBuster

from plugway.testing import calls


class Watcher:
    """Watches calls, one at a time."""

    def __init__(self) -> None:
        """Prepare to watch; nothing is patched before `watch`."""
        self._blocking = BlockBuster(calls)  # what a call runs; the loop itself may block
        for function in self._blocking.functions.values():
            function.can_block_in("coverage/collector.py", "lock_data")
        self._said = io.StringIO()
        self._handler = logging.StreamHandler(self._said)

    @contextmanager
    def watch(self) -> Generator[io.StringIO]:
        """Make blocking calls raise, and collect what is printed and logged, of any level."""
        self._said.seek(0)
        self._said.truncate()
        root = logging.getLogger()
        level, handlers = root.level, root.handlers[:]
        root.handlers[:] = [self._handler]  # hundreds of calls would flood the test's own
        root.setLevel(logging.DEBUG)
        self._blocking.activate()
        try:
            with redirect_stdout(self._said), redirect_stderr(self._said):
                yield self._said
        finally:
            self._blocking.deactivate()
            root.setLevel(level)
            root.handlers[:] = handlers
