"""Read a configuration: file, tree, dialect, references, model."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from plugway.config.dialects import read
from plugway.config.document import Config
from plugway.config.origin import Origin
from plugway.config.references import replace
from plugway.errors import ConfigError, combine


def load(path: Path, *, env: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file: plugway's YAML, an MCP client's JSON, ContextForge's plugins.

    Raises `ConfigError`, whose `errors` are all that is wrong, each with file, line and path.
    """
    try:
        text = path.read_bytes().decode()
    except IsADirectoryError:
        raise ConfigError("is a directory: name the file in it", file=path) from None
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=path) from None
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8: save it as UTF-8", file=path, line=line) from None
    return parse(text, file=path, env=env)


def parse(text: str, *, file: Path | None = None, env: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration from text; the name of the file decides between YAML and JSON.

    Raises `ConfigError` as `load` does.
    """
    return _parse(text.removeprefix("\ufeff"), file, env, json=_is_json(file))


def from_data(data: Mapping[str, Any], *, env: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration from JSON values, as if they stood in a file.

    Raises `ConfigError` as `load` does, `TypeError` for what JSON can't carry.
    """
    return _parse(json.dumps(dict(data)), None, env, json=True)


def _parse(text: str, file: Path | None, env: Mapping[str, str], *, json: bool) -> Config:
    try:
        reading = read(text, json=json)
    except ConfigError as error:
        raise _in_file(error, file) from None
    replaced = replace(reading, env, file)
    origin = Origin(file, reading.root, frozenset(replaced.places), tuple(reading.notes))
    errors = [_in_file(error, file) for error in reading.errors] + replaced.errors
    try:
        config = Config.model_validate(replaced.data, context=origin, by_alias=True, by_name=False)
    except ValidationError as error:
        errors += origin.explain(error, Config, except_at=frozenset(replaced.failed))
    else:
        if not errors:
            return config
    raise combine(errors)


def _is_json(file: Path | None) -> bool:
    return file is not None and file.suffix.lower() in {".json", ".jsonc"}


def _in_file(error: ConfigError, file: Path | None) -> ConfigError:
    return ConfigError(error.message, file=file, line=error.line, path=error.path)
