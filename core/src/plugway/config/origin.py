"""Where a configuration came from, so that everything said about it has file, line and path."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from plugway.config.problems import Problem, sentence
from plugway.config.tree import Key, Node, Path, locate, render
from plugway.errors import ConfigError, combine


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """The file, its tree before references were replaced, and what to say about the reading.

    `replaced` are the places of the strings that had references in them: what came in there is a
    secret until proven otherwise.
    """

    file: FilePath | None = None
    root: Node | None = field(default=None, repr=False)
    replaced: frozenset[Path] = frozenset()
    notes: tuple[str, ...] = ()

    def error(self, message: str, place: Sequence[Key]) -> ConfigError:
        """Return an error about a place in the configuration."""
        path, line = tuple(place), None
        if self.root is not None:
            node, rest = locate(self.root, path)
            path, line = (*node.path, *rest), node.line
        return ConfigError(message, file=self.file, line=line, path=render(path))

    def invalid(
        self,
        error: ValidationError,
        model: type[BaseModel],
        place: Sequence[Key] = (),
    ) -> ConfigError:
        """Translate what pydantic found wrong in the part at `place` into one exception."""
        return combine(self.explain(error, model, place))

    def explain(
        self,
        error: ValidationError,
        model: type[BaseModel],
        place: Sequence[Key] = (),
        *,
        except_at: frozenset[Path] = frozenset(),
    ) -> list[ConfigError]:
        """Return one error for each thing found wrong, but none about the places `except_at`."""
        errors: list[ConfigError] = []
        for details in error.errors(include_url=False, include_input=False):
            where = (*place, *details["loc"])
            if where not in except_at:
                errors.append(self._explain(details, model, where))
        return errors

    def _explain(self, details: ErrorDetails, model: type[BaseModel], place: Path) -> ConfigError:
        node = locate(self.root, place)[0] if self.root else None
        raw = node.value if node else None
        secret = any(where[: len(place)] == place for where in self.replaced)
        return self.error(sentence(Problem(details, model, raw, secret)), place)
