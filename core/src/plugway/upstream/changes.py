"""Notice when a server's lists change."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND

from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.connection import Peer
from plugway.upstream.errors import NoAnswerError
from plugway.upstream.inbox import Notified
from plugway.upstream.values import as_object
from plugway_hookspecs import ServerError

LISTS = ("tools", "prompts", "resources")
LIST_CHANGED = {f"notifications/{name}/list_changed": name for name in LISTS}
UPDATED = "notifications/resources/updated"
RESUMED = "resumed"
"""Stands for what the server may have said while nobody listened."""
FORWARDED = frozenset(
    {*LIST_CHANGED, UPDATED, "notifications/message", "notifications/elicitation/complete"}
)
"""Notifications that are for no request, and that somebody may wait for."""

_NO_LISTENING = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS, INVALID_REQUEST})


class Changes:
    """Tells `on_event` the method and the params of every notification that is for no request."""

    def __init__(self, on_event: Notified) -> None:
        self._on_event = on_event
        self._lists: list[str] = []
        self._interrupted = False

    def notified(self, method: str, params: Mapping[str, Any]) -> None:
        """Take a notification of the server, whichever it is."""
        if method in FORWARDED:
            self._on_event(method, params)

    def resumed(self) -> None:
        """Say that a server may have said anything while its stream was interrupted."""
        self._lists_may_have_changed()
        self._on_event(RESUMED, {})

    def _call(self, params: Mapping[str, Any]) -> Call:
        return Call(
            "subscriptions/listen", params, on_acknowledged=self._acknowledged, background=True
        )

    def _acknowledged(self, _: Mapping[str, Any]) -> None:
        if self._interrupted:
            self._interrupted = False
            self._lists_may_have_changed()

    def _lists_may_have_changed(self) -> None:
        for name in self._lists:
            self._on_event(f"notifications/{name}/list_changed", {})

    async def listen(
        self, peer: Peer, request: Callable[[Call], Awaitable[dict[str, Any]]]
    ) -> None:
        """Keep a `subscriptions/listen` stream to a modern server that announces its changes.

        Legacy servers notify unasked.
        """
        self._lists = [name for name in LISTS if _announced(peer.capabilities, name)]
        if peer.era != "modern" or not self._lists:
            return
        params = {"notifications": {f"{name}ListChanged": True for name in self._lists}}
        backoff = Backoff()
        while True:
            opened = anyio.current_time()
            try:
                await request(self._call(params))
            except ServerError as error:
                if error.code in _NO_LISTENING:
                    return
            except NoAnswerError:
                pass
            self._interrupted = True
            await anyio.sleep(backoff.lost(anyio.current_time() - opened))


def _announced(capabilities: Mapping[str, Any], name: str) -> bool:
    return bool(as_object(capabilities.get(name)).get("listChanged"))
