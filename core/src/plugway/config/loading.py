"""Read a configuration: file, tree, dialect, references, model."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from plugway.config.dialects import translate
from plugway.config.json_source import read_json
from plugway.config.models import Config
from plugway.config.origin import Origin
from plugway.config.references import replace
from plugway.config.tree import Node
from plugway.config.yaml_source import read_yaml
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
    try:
        root, notes = translate(_read(text.removeprefix("\ufeff"), file), json=_is_json(file))
    except ConfigError as error:
        raise combine([_in_file(one, file) for one in error.errors]) from None
    replaced = replace(root, env, file)
    origin = Origin(file, root, frozenset(replaced.places), tuple(notes))
    errors = replaced.errors
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


def _read(text: str, file: Path | None) -> Node:
    return read_json(text) if _is_json(file) else read_yaml(text)


def _in_file(error: ConfigError, file: Path | None) -> ConfigError:
    return ConfigError(error.message, file=file, line=error.line, path=error.path)
