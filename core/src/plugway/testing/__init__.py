"""Test plugins and configurations without a gateway: run them, look at verdict and record, check.

`run` calls one plugin, `open_plugins` a whole configuration, through the chains that the gateway
compiles from them. `check_plugin` holds a plugin to what every plugin promises.
"""

from plugway.testing.blocking import Kit
from plugway.testing.check import BrokenPromiseError, check_plugin
from plugway.testing.outcome import Outcome
from plugway.testing.plugins import Plugins, open_plugins
from plugway.testing.single import run

__all__ = [
    "BrokenPromiseError",
    "Kit",
    "Outcome",
    "Plugins",
    "check_plugin",
    "open_plugins",
    "run",
]
