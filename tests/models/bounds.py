"""How often slow laws are tried, however many examples the profile asks for."""

from hypothesis import settings


def at_most(examples: int) -> settings:
    """Return a decorator for a law; call it when the profile is loaded, as it is in test files."""
    return settings(max_examples=min(examples, settings().max_examples))
