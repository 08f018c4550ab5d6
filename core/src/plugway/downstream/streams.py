"""One `subscriptions/listen` stream of a client of the stateless era (2026-07-28)."""

from collections.abc import Callable

from mcp.server.subscriptions import SubscriptionBus
from mcp.shared.subscriptions import ResourceUpdated, ServerEvent

from plugway.dispatch.exchange import Caller
from plugway.downstream.subscriptions import Subscriptions

Listener = Callable[[ServerEvent], None]


class Stream:
    """What one stream hears: list changes, as all do, and the resources that it follows.

    Implements the SDK's `SubscriptionBus` for it alone, and `plugway.dispatch.exchange.Watches`.
    """

    def __init__(
        self, lists: SubscriptionBus, subscriptions: Subscriptions, caller: Caller | None
    ) -> None:
        """Hear of list changes by `lists`, and of resources on behalf of `caller`."""
        self._caller = caller
        self._lists = lists
        self._subscriptions = subscriptions
        self._watched: dict[str, Callable[[], None]] = {}
        self._listener: Listener | None = None
        self._early: dict[str, None] = {}

    async def add(self, uri: str, server: str, inward: str) -> None:
        """Follow a resource."""
        self.remove(uri)
        self._watched[uri] = await self._subscriptions.follow(
            uri, server, inward, self._caller, self._updated
        )

    def remove(self, uri: str) -> None:
        """Follow it no longer."""
        if (stop := self._watched.pop(uri, None)) is not None:
            stop()

    def close(self) -> None:
        """Follow nothing any more."""
        for uri in list(self._watched):
            self.remove(uri)

    async def publish(self, event: ServerEvent) -> None:
        """Tell the stream alone."""
        if self._listener is not None:
            self._listener(event)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Begin to hear, first of what has changed since `add`."""
        self._listener = listener
        unsubscribe = self._lists.subscribe(listener)
        for uri in self._early:
            self._updated(uri)
        return unsubscribe

    def _updated(self, uri: str) -> None:
        if self._listener is None:
            self._early[uri] = None
        else:
            self._listener(ResourceUpdated(uri=uri))
