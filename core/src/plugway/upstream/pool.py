"""Links that are lent to one request at a time, as nothing else tells whom a question is for."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from plugway.upstream.link import Link


class Returns:
    """Tells all who wait that a link was returned, to whichever pool: there is room then."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait for the next one."""
        await self._event.wait()

    def tell(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = anyio.Event()


class Pool:
    """Links of one kind, made as they are needed; requests wait where no more can be made."""

    def __init__(
        self,
        make: Callable[[], Link | None],
        close: Callable[[Link], None],
        returns: Returns | None = None,
    ) -> None:
        """Make links with `make`, which returns None where there are enough, and `close` them."""
        self._make = make
        self._close = close
        self._returns = returns or Returns()
        self._links: list[Link] = []
        self._lent: set[Link] = set()

    @property
    def empty(self) -> bool:
        """Whether it has no links."""
        return not self._links

    @property
    def first(self) -> Link | None:
        """The one that stands for all: what lists are fetched through."""
        return self._links[0] if self._links else self._grow()

    def drop(self, link: Link) -> None:
        """Forget a link that is closed."""
        if link in self._links:
            self._links.remove(link)

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Link]:
        """Lend a link for a block.

        Where the block is cancelled, the link is closed: the server may still ask on it what was
        for the client that has given up, and another one would be asked.
        """
        while (link := self._free()) is None:
            await self._returns.wait()
        self._lent.add(link)
        try:
            yield link
        except anyio.get_cancelled_exc_class():
            self._close(link)
            raise
        finally:
            self._lent.remove(link)
            self._returns.tell()

    def _free(self) -> Link | None:
        return next((link for link in self._links if link not in self._lent), None) or self._grow()

    def _grow(self) -> Link | None:
        link = self._make()
        if link is not None:
            self._links.append(link)
        return link
