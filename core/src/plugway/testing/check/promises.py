"""The promises of a plugin, and the error that says which one is broken, where, and what to do."""

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from typing import Any

from plugway.testing.options import CallOptions
from plugway_hookspecs import NotJsonError, Payload, PluginError
from plugway_hookspecs.frozen import HINT


@dataclass(frozen=True, slots=True)
class Promise:
    """What a plugin does that it should not, and what to do about it."""

    broken: str
    advice: str


MUTATES = Promise("it changes a payload in place", "return payload.replace(...); never edit")
NOT_JSON = Promise("it makes what JSON can't carry", "use dict, list, str, int, float, bool, None")
WRONG_TYPE = Promise(
    "it returns what the hook does not allow",
    "return None, the hook's own kind of payload, a Deny or, in pre hooks, a Respond",
)
RAISES = Promise("it raises", "an exception is no verdict: handle it, or return a Deny")
BLOCKS = Promise(
    "it blocks the event loop",
    "await an asynchronous call, or make it a plain def and say threaded=True as its entry does",
)
HANGS = Promise("it does not come to an end", "bound every wait, with anyio.fail_after")
VARIES = Promise(
    "it answers the same call differently",
    "take chance and clock out of it, or say deterministic=False if that is its nature",
)
SWALLOWS = Promise(
    "it goes on though it was cancelled",
    "catch Exception, never BaseException or a bare except; raise what cancels again",
)
LEAKS = Promise("it prints or logs what is in a payload or a header", "log what was found, not it")


class BrokenPromiseError(AssertionError):
    """A plugin broke a promise; `payload` and `context` are the smallest that show it."""

    def __init__(
        self,
        promise: Promise,
        *,
        plugin: str,
        hook: str,
        payload: Payload,
        context: CallOptions,
        seen: str = "",
    ) -> None:
        lines = [
            f"plugin {plugin!r} breaks a promise in {hook}: {promise.broken}",
            f"  payload: {show(payload)}",
            *([f"  context: {_show_context(context)}"] if context else []),
            *([f"  seen:    {seen}"] if seen else []),
            f"  to do:   {promise.advice}",
        ]
        super().__init__("\n".join(lines))
        self.promise = promise
        self.plugin = plugin
        self.hook = hook
        self.payload = payload
        self.context = context
        self.seen = seen

    def again(self) -> "BrokenPromiseError":
        """Return the same error without the notes and the traceback of the search."""
        return BrokenPromiseError(
            self.promise,
            plugin=self.plugin,
            hook=self.hook,
            payload=self.payload,
            context=self.context,
            seen=self.seen,
        )


def promise_broken_by(error: BaseException) -> Promise:
    """Tell from what came out of a plugin which promise it breaks."""
    match error:
        case FrozenInstanceError():
            return MUTATES
        case TypeError() if str(error) == HINT:
            return MUTATES
        case NotJsonError():
            return NOT_JSON
        case PluginError():
            return WRONG_TYPE
        case _ if type(error).__name__ == "BlockingError":
            return BLOCKS
        case _:
            return RAISES


def show(payload: Payload) -> str:
    """Write a payload as one writes it in a test: without what says nothing."""
    given: list[str] = []
    for field in fields(payload):
        value: Any = getattr(payload, field.name)
        if field.default is MISSING or value != field.default:
            given.append(f"{field.name}={value!r}")
    return f"{type(payload).__name__}({', '.join(given)})"


def _show_context(context: CallOptions) -> str:
    shown = ((k, show(v) if isinstance(v, Payload) else repr(v)) for k, v in context.items())
    return ", ".join(f"{key}={value}" for key, value in shown)
