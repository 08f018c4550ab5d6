"""Links that are lent to one request at a time."""

import anyio
import pytest

from plugway.config import ServerConfig
from plugway.upstream.connector import SdkConnector
from plugway.upstream.link import Link
from plugway.upstream.pool import Pool


class Links:
    """Makes and closes real links, none of which is connected."""

    def __init__(self) -> None:
        self.closed: list[Link] = []
        self.pool = Pool(self.make, self.close)

    def make(self) -> Link:
        connector = SdkConnector("s", ServerConfig(command="x"), self.ignore, one_client=True)
        return Link("s", connector, lambda _: None)

    def close(self, link: Link) -> None:
        self.closed.append(link)
        self.pool.drop(link)

    @staticmethod
    def ignore(*_: object) -> None:
        """Take what a server says."""


async def test_a_link_whose_request_came_to_an_end_is_lent_again() -> None:
    links = Links()
    async with links.pool.lend() as first:
        pass
    with pytest.raises(ZeroDivisionError):
        async with links.pool.lend():
            _ = 1 / 0
    async with links.pool.lend() as other:
        assert other is first
    assert not links.closed


async def test_a_link_whose_request_was_given_up_is_closed_and_never_lent_again() -> None:
    links = Links()
    lent: list[Link] = []
    with anyio.CancelScope() as scope:
        async with links.pool.lend() as link:
            lent.append(link)
            scope.cancel()
            await anyio.sleep_forever()
    assert links.closed == lent
    async with links.pool.lend() as other:
        assert other not in lent
