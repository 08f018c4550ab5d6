"""Notice when a server's lists change."""

from collections.abc import Callable
from typing import Any, Protocol

import anyio
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND

from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.connection import Peer
from plugway.upstream.errors import NoAnswerError
from plugway.upstream.values import as_object
from plugway_hookspecs import ServerError

LISTS = ("tools", "prompts", "resources")
LIST_CHANGED = {f"notifications/{name}/list_changed": name for name in LISTS}

_NO_LISTENING = {METHOD_NOT_FOUND, INVALID_PARAMS, INVALID_REQUEST}


class Requests(Protocol):
    """The part of a connection that listening needs."""

    peer: Peer

    async def request(self, call: Call) -> dict[str, Any]:
        """Send one request; raises `ServerError` or `NoAnswerError`."""
        ...


async def watch(connection: Requests, on_event: Callable[[str], None]) -> None:
    """Keep a `subscriptions/listen` stream to a modern server that announces its changes.

    The notifications arrive as any other, so the stream only has to be open. A stream that was
    interrupted may have missed changes: then everything counts as changed. Legacy servers notify
    unasked.
    """
    lists = [name for name in LISTS if _announced(connection.peer, name)]
    if connection.peer.era != "modern" or not lists:
        return
    params = {"notifications": {f"{name}ListChanged": True for name in lists}}
    backoff = Backoff()
    while True:
        opened = anyio.current_time()
        try:
            await connection.request(Call("subscriptions/listen", params, background=True))
        except ServerError as error:
            if error.code in _NO_LISTENING:
                return
        except NoAnswerError as error:
            if error.fault.status is not None:
                return
        await anyio.sleep(backoff.lost(anyio.current_time() - opened))
        for name in lists:
            on_event(f"notifications/{name}/list_changed")


def _announced(peer: Peer, name: str) -> bool:
    return bool(as_object(peer.capabilities.get(name)).get("listChanged"))
