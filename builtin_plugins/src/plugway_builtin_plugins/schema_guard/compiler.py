"""Compile a tool's schemas to validators, once each, and keep untrusted ones within bounds."""

import json
from functools import lru_cache
from itertools import islice
from typing import Any

from plugway_builtin_plugins.parts import Path, show
from plugway_builtin_plugins.schema_guard.cost import Costs, TooExpensiveError
from plugway_builtin_plugins.schema_guard.graph import read_graph
from plugway_builtin_plugins.schema_guard.references import SchemaError

try:
    from jsonschema_rs import (
        FancyRegexOptions,
        RegexOptions,
        ValidationError,
        Validator,
        validator_for,
    )
except ImportError as error:
    message = "jsonschema-rs is missing: pip install 'plugway-builtin-plugins[schema]'"
    raise ImportError(message, name="jsonschema_rs") from error

MAX_CHECKS = 2_500_000
"""Checks of one subschema that validating a value may take; some 50 ns each."""
MAX_EXPLAINED = 20_000
"""Checks up to which errors are collected, which takes some 10 µs each."""
_BACKTRACKS = 1_000
_REMEMBERED = 512
_LONGEST = 160


class Checker:
    """A compiled schema."""

    def __init__(self, schema: Any, *, formats: bool) -> None:
        """Compile a schema of plain dicts and lists; raises `SchemaError`."""
        nodes = read_graph(schema)
        try:
            # matches in linear time, but knows no lookaround, which generated schemas are full of
            self._validator = _validator(schema, RegexOptions(), formats=formats)
            backtracking = False
        except ValueError:
            self._validator = _backtracking(schema, formats=formats)
            backtracking = True
        self._costs = Costs(nodes, backtracking=backtracking)

    def errors(self, value: Any, path: Path, limit: int) -> list[str]:
        """Return up to `limit` errors, one sentence each; none if `value`, at `path`, is valid.

        Raises `SchemaError` where the schema turns out to be too complex for any value.
        """
        try:
            return self._errors(value, path, limit)
        except UnicodeEncodeError:
            return [f"{show(path)}: there is half a character (a lone surrogate) in a text"]

    def _errors(self, value: Any, path: Path, limit: int) -> list[str]:
        if not self._costs.small and not self._affords(value, MAX_CHECKS):
            return [f"{show(path)}: too large or too deeply nested to be checked"]
        if self._validator.is_valid(value):
            return []
        if not self._affords(value, MAX_EXPLAINED):
            return [f"{show(path)}: does not match the schema, and is too large to say where"]
        return [
            _shorten(f"{show((*path, *error.instance_path))}: {error.message}")
            for error in islice(self._validator.iter_errors(value), limit)
        ]

    def _affords(self, value: Any, limit: int) -> bool:
        try:
            self._costs.check(value, limit)
        except TooExpensiveError:
            return False
        return True


def _backtracking(schema: Any, *, formats: bool) -> Validator:
    try:
        options = FancyRegexOptions(backtrack_limit=_BACKTRACKS)
        return _validator(schema, options, formats=formats)
    except ValidationError as error:
        raise SchemaError(f"{show(tuple(error.instance_path)) or 'top'}: {error.message}") from None
    except ValueError as error:
        raise SchemaError(str(error)) from None


def _validator(
    schema: Any, patterns: RegexOptions | FancyRegexOptions, *, formats: bool
) -> Validator:
    """Return a validator that fetches nothing and repeats no value in its messages."""
    return validator_for(
        schema, offline=True, mask="value", pattern_options=patterns, validate_formats=formats
    )


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class _ByIdentity:
    """A schema that is the same only as itself, and kept so that its id is never reused."""

    __slots__ = ("schema",)

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.schema is self.schema


class Checkers:
    """Compiled schemas, remembered by object and by content."""

    def __init__(self, *, formats: bool, max_bytes: int) -> None:
        """Schemas that are larger than `max_bytes` as JSON text are not compiled."""
        self._formats = formats
        self._max_bytes = max_bytes
        self._known = lru_cache(_REMEMBERED)(self._read)
        self._compiled = lru_cache(_REMEMBERED)(self._compile)

    def get(self, schema: Any) -> Checker:
        """Return the compiled schema; raises `SchemaError` where it can't be used."""
        found = self._known(_ByIdentity(schema))
        if isinstance(found, str):
            raise SchemaError(found)
        return found

    def _read(self, same: _ByIdentity) -> Checker | str:
        text = json.dumps(same.schema)
        if len(text) > self._max_bytes:
            return f"it has {len(text)} bytes, more than max_schema_bytes ({self._max_bytes})"
        return self._compiled(text)

    def _compile(self, text: str) -> Checker | str:
        """Return the compiled schema, or what is wrong with it: errors are remembered as well."""
        try:
            return Checker(json.loads(text), formats=self._formats)
        except SchemaError as error:
            return _shorten(str(error))
