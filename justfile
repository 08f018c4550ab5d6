# What people do every day. `uv tool install rust-just` brings `just`; every recipe is one plain command.

_:
    @just --list --unsorted

# everything, with the wheels: about what CI runs last
test *ARGS:
    uv run pytest {{ARGS}}

# without building and installing wheels, until the first failure
test-fast *ARGS:
    uv run pytest -q -x -m "not packaging" {{ARGS}}

# clients and servers of other people around the gateway; installs them first
interop *ARGS:
    uv run pytest -q tests/interop {{ARGS}}

# what no test reaches; takes a third longer than the tests alone
coverage *ARGS:
    uv run pytest -q -m "not packaging" --cov --cov-report=term:skip-covered {{ARGS}}

# on another Python: just test-on 3.13
test-on PYTHON *ARGS:
    uv run --isolated --python {{PYTHON}} pytest -q -m "not packaging" {{ARGS}}

# the official MCP conformance suite, without and through the gateway: just conformance http client
conformance *TOPOLOGIES:
    uv run python tests/conformance/conformance.py {{TOPOLOGIES}}

# the Hypothesis laws, with many more examples
nightly *ARGS:
    HYPOTHESIS_PROFILE=nightly uv run pytest -q -m hypothesis {{ARGS}}

# change the code in small ways and see whether tests notice; minutes: just mutate conditions
mutate *TARGETS:
    uv run --isolated --group mutation python tools/mutate.py {{TARGETS}}

lint:
    uv run ruff check
    uv run ruff format --check

types:
    uv run mypy
    uv run pyright

# format, and fix what can be fixed safely
fmt:
    uv run ruff check --fix
    uv run ruff format

# all that must hold before a change lands, or some of it: just ci lowest
ci *LEGS:
    .ci/run {{LEGS}}

# pin every package at its newest version; one: just pin --upgrade-package mcp; none: --no-upgrade
pin *OPTIONS="--upgrade":
    tools/pin.py {{OPTIONS}}
    uv sync

# sdists and wheels of all four in dist/
wheels:
    uv build --all-packages --clear

bench-chain *ARGS:
    uv run python benchmarks/chain.py {{ARGS}}

# beside cpex, pluggy and fastmcp, each in an environment that it makes
bench-peers *ARGS:
    uv run python benchmarks/peers.py {{ARGS}}

# does memory stay flat?
bench-memory *ARGS:
    uv run python benchmarks/memory.py {{ARGS}}

# beside no proxy, nginx and fastmcp's; for a first impression: just bench-gateway --quick
bench-gateway *ARGS:
    uv run python benchmarks/gateway.py {{ARGS}}

# the HTTP client beside httpx2 and aiohttp
bench-http1 *ARGS:
    uv run --with aiohttp python benchmarks/http1.py {{ARGS}}

bench-sinks:
    uv run python benchmarks/sinks.py

bench-reloads *ARGS:
    uv run python benchmarks/reloads.py {{ARGS}}

# clients and servers of both eras, killed and hung at random: just soak --minutes 2
soak *ARGS:
    uv run python benchmarks/soak.py {{ARGS}}

demo *ARGS:
    uv run plugway demo {{ARGS}}
