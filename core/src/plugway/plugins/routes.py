"""Read the HTTP routes of a plugin, and refuse what could never be served."""

import inspect
import re
from collections.abc import Iterable
from typing import Any, cast

from plugway.errors import PluginSetupError
from plugway_hookspecs import HttpRoute

ROUTES_PATH = "/plugins"
"""Where they are served, each under the name of its plugin."""

METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
"""What routes may answer; `HEAD` comes with `GET`."""

_PATH = re.compile(r"(/[A-Za-z0-9._~-]*)+")


def check_routes(plugin: str, found: Any) -> tuple[HttpRoute, ...]:
    """Return what `register_routes` returned; raises `PluginSetupError` for nonsense."""
    routes = [_checked(plugin, route) for route in _each(found)]
    taken: set[tuple[str, str]] = set()
    for route in routes:
        places = {(method, route.path) for method in route.methods}
        if twice := sorted(places & taken):
            message = f"register_routes: two routes answer {' '.join(twice[0])}"
            raise PluginSetupError(message, plugin=plugin)
        taken |= places
    if routes and "/" in plugin:
        message = "its routes are served under its name, so there may be no '/' in the name"
        raise PluginSetupError(message, plugin=plugin)
    return tuple(routes)


def _each(found: Any) -> Iterable[Any]:
    return cast("Iterable[Any]", found) if isinstance(found, list | tuple) else (found,)


def _checked(plugin: str, route: Any) -> HttpRoute:
    wrong = f"returned {type(route).__name__}; it has to return a list of HttpRoute"
    if isinstance(route, HttpRoute) and not (wrong := _wrong(route)):
        return route
    raise PluginSetupError(f"register_routes: {wrong}", plugin=plugin)


def _wrong(route: HttpRoute) -> str:
    parts = route.path.split("/")
    if not _PATH.fullmatch(route.path) or {".", ".."} & set(parts) or "" in parts[1:-1]:
        return f"{route.path!r} is no path: it begins with '/', of letters, digits and '-._~'"
    if isinstance(route.methods, str) or not route.methods or not METHODS.issuperset(route.methods):
        return f"the methods of {route.path} have to be some of {', '.join(sorted(METHODS))}"
    if not inspect.iscoroutinefunction(route.handler):
        return f"what answers {route.path} has to be an `async def`"
    return ""
