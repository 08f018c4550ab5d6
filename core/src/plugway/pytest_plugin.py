"""pytest's way in: the fixture `plugway`; what it needs is imported by the tests that use it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugway.testing import Kit


@pytest.fixture
def plugway() -> "Iterator[Kit]":
    """Run plugins in a plain `def` test: `plugway.run(...)`, `with plugway.open(...)`.

    In an `async def` test use `plugway.testing.run` and `open_plugins`.
    """
    from plugway.testing.blocking import open_kit  # noqa: PLC0415

    with open_kit() as kit:
        yield kit
