"""Fixtures that every test uses: one backend, no blocking call on the event loop; profiles."""

import os
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

PACKAGES = ["plugway", "plugway_hookspecs", "plugway_builtin_plugins", "plugway_external_bridge"]

# wall-clock deadlines would make the outcome depend on how busy the machine is
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, database=None)
settings.register_profile("nightly", deadline=None, max_examples=20_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx(PACKAGES):
        yield
