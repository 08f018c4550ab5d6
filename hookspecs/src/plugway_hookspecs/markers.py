"""pluggy's two markers, bound to this project's name."""

import pluggy

PROJECT = "plugway"
ENTRY_POINT_GROUP = "plugway.plugins.v1"
"""Where packages name their plugin kinds; the number is the contract's version."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
