"""Where MCP clients keep their servers."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """One client's file."""

    path: Path
    client: str = ""
    """Whose file it is; empty where the user named it."""

    @property
    def shown(self) -> str:
        """The path as people write it."""
        path = self.path.absolute()
        for base, sign in ((Path.cwd(), ""), (Path.home(), "~")):
            if path.is_relative_to(base):
                return str(Path(sign) / path.relative_to(base))
        return str(path)

    @property
    def project(self) -> Path:
        """The folder that the client would call its workspace."""
        folder = self.path.absolute().parent
        return folder.parent if folder.name in {".cursor", ".vscode"} else folder


def existing_sources() -> list[Source]:
    """Return the clients' files that there are, the project's own first."""
    return [source for source in known_sources() if source.path.is_file()]


def known_sources() -> Iterator[Source]:
    """Name every place that is looked at."""
    yield Source(Path(".mcp.json"), "project")
    yield Source(Path(".cursor", "mcp.json"), "Cursor, project")
    yield Source(Path(".vscode", "mcp.json"), "VS Code, project")
    yield Source(Path.home() / ".cursor" / "mcp.json", "Cursor")
    yield Source(_application_data() / "Claude" / "claude_desktop_config.json", "Claude Desktop")


def _application_data() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
