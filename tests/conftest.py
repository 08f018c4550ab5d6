"""Fixtures that every test uses: one backend, one deadline, no blocking call on the event loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(["plugway", "plugway_hookspecs", "plugway_builtin_plugins"]):
        yield
