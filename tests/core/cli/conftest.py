"""The command line under test: in this process for what it says, in its own where it ends."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plugway.cli.entry import run

SERVERS = Path(__file__).parent / "servers"
TIMEOUT = 60


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; fails where there is anything else."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a command does to the process's logging."""
    top = logging.getLogger()
    loggers = [top, *map(logging.getLogger, ("plugway", "watchfiles"))]
    handlers, levels = top.handlers[:], [logger.level for logger in loggers]
    yield
    top.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in an empty folder, with an empty home."""
    place, home = tmp_path / "place", tmp_path / "home"
    place.mkdir()
    home.mkdir()
    monkeypatch.chdir(place)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("XDG_CONFIG_HOME", "PLUGWAY_CONFIG", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def plugway(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a command line in this process."""

    def runs(*arguments: str) -> Run:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return runs


@pytest.fixture
def process() -> Callable[..., Run]:
    """Run a command line in a process of its own."""

    def runs(*arguments: str, text: str = "", env: Mapping[str, str] | None = None) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "plugway", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={**os.environ, **(env or {})},
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return runs


@pytest.fixture(scope="session")
def shop() -> Iterator[dict[str, Any]]:
    """The `mcpServers` entry of a server that works, over HTTP: one process for all tests."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, str(SERVERS / "shop.py"), str(number)]
        process = subprocess.Popen(command, pass_fds=[number], stderr=subprocess.DEVNULL)
    yield {"url": f"http://127.0.0.1:{port}/mcp"}
    process.kill()
    process.wait()


@pytest.fixture
def stdio_shop() -> dict[str, Any]:
    """The same server over stdio, started by the gateway."""
    return {"command": sys.executable, "args": [str(SERVERS / "shop.py")]}


@pytest.fixture
def dying() -> dict[str, Any]:
    """The `mcpServers` entry of a server that does not."""
    return {"command": sys.executable, "args": ["-c", "import there_is_no_such_module"]}


@pytest.fixture
def configure() -> Callable[[dict[str, Any]], Path]:
    """Write `plugway.yaml` into the folder."""

    def write(config: dict[str, Any]) -> Path:
        path = Path("plugway.yaml")
        path.write_text(json.dumps(config))
        return path

    return write


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a package: a module with an entry point that names it, or something in it."""

    def installed(name: str, source: str, *, kind: str = "", attribute: str = "") -> Path:
        site = tmp_path / f"site-{name}"
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        value = f"{name}:{attribute}" if attribute else name
        (metadata / "entry_points.txt").write_text(
            f"[plugway.plugins.v1]\n{kind or name} = {value}\n"
        )
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        return site

    return installed
