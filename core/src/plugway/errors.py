"""The errors that the gateway adds to the contract's own.

plugway_hookspecs.PlugwayError
 ├─ ConfigError               one thing wrong in a configuration    .message .file .line .path
 │   └─ InvalidConfigError    all that one reading found wrong      .errors
 ├─ PluginLoadError           a package that can't give its plugin  .name .distribution .version
 │                                                                  .value .cause .advice
 ├─ PluginSetupError          a configured plugin that can't run    .plugin
 │   └─ ChainError            a hook that could only fail           .plugin .hook
 └─ StartupError              what keeps the gateway from starting  .reasons

The contract's own (`PluginError`, `ServerError`, ...) are drawn in `plugway_hookspecs.errors`.
"""

from collections.abc import Sequence
from pathlib import Path

from plugway_hookspecs import PlugwayError


class ConfigError(PlugwayError):
    """One thing that is wrong in a configuration, and where.

    `path` is the place as the file has it, such as `plugins[2].when`; empty for the whole file.
    """

    def __init__(
        self, message: str, *, file: Path | None = None, line: int | None = None, path: str = ""
    ) -> None:
        place = str(file) if file else "configuration"
        where = [f"{place}:{line}" if line else place, path]
        super().__init__(": ".join([*filter(None, where), message]))
        self.message = message
        self.file = file
        self.line = line
        self.path = path

    @property
    def errors(self) -> tuple["ConfigError", ...]:
        """Return every error, one sentence each; a single error has itself."""
        return (self,)


class InvalidConfigError(ConfigError):
    """Everything that one reading of a configuration found wrong; `str` has one line for each."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        first = errors[0]
        super().__init__(first.message, file=first.file, line=first.line, path=first.path)
        self.args = ("\n".join(map(str, errors)),)
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[ConfigError, ...]:
        """Return every error in the order of the file."""
        return self._errors


def combine(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one exception for one or several errors, ordered by line."""
    ordered = sorted(errors, key=lambda error: error.line or 0)
    return ordered[0] if len(ordered) == 1 else InvalidConfigError(ordered)


class PluginLoadError(PlugwayError):
    """A package that announces a plugin kind and can't give it.

    `distribution` and `version` are empty where the package's metadata does not tell; `value` is
    the entry point's object reference.
    """

    def __init__(
        self,
        *,
        name: str,
        distribution: str = "",
        version: str = "",
        value: str = "",
        cause: str,
        advice: str = "",
    ) -> None:
        package = " ".join(filter(None, [distribution, version]))
        origin = ", ".join(filter(None, [package, value]))
        subject = f"plugin kind {name!r}" if name else "a package"
        where = f"{subject} ({origin})" if origin else subject
        super().__init__(f"{where}: {cause}" + (f"; {advice}" if advice else ""))
        self.name = name
        self.distribution = distribution
        self.version = version
        self.value = value
        self.cause = cause
        self.advice = advice


class PluginSetupError(PlugwayError):
    """A configured plugin that can't be made, started or compiled."""

    def __init__(self, message: str, *, plugin: str) -> None:
        super().__init__(message)
        self.plugin = plugin


class ChainError(PluginSetupError):
    """A hook implementation that could only fail at its first call."""

    def __init__(self, message: str, *, plugin: str, hook: str) -> None:
        super().__init__(f"{hook}: {message}", plugin=plugin)
        self.hook = hook


class StartupError(PlugwayError):
    """The gateway can't start: plugins that guard are missing, or servers that are required."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = tuple(reasons)
