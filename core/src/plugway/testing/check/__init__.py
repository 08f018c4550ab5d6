"""What every plugin promises, tried with generated payloads; needs `plugway[testing]`."""

from plugway.testing.check.checking import check_plugin
from plugway.testing.check.promises import BrokenPromiseError

__all__ = ["BrokenPromiseError", "check_plugin"]
