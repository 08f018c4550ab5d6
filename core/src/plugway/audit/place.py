"""Where the audit file is."""

from pathlib import Path

from plugway.config import AuditConfig, Config


def audit_path(config: Config, settings: AuditConfig) -> Path:
    """Return the file's path; a relative one starts at the configuration's own folder."""
    folder = Path() if config.file is None else config.file.parent
    return folder / settings.file.expanduser()
