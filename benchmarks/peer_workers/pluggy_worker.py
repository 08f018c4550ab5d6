"""pluggy's own call, of plain functions and of coroutines that are then awaited one by one.

pluggy gives every implementation the same arguments and collects what they return: nothing of what
one changes reaches the next, and the caller takes the last word.
"""

from typing import Any

import pluggy
from serving import ARGUMENTS, Subject, Tally, serve

hookspec, hookimpl = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")
Payload = dict[str, Any]
PAYLOAD: Payload = {"name": "echo", "arguments": ARGUMENTS}


class Specs:
    @hookspec
    def tool_pre_invoke(self, payload: Payload, context: dict[str, str]) -> Payload | None: ...


def answer(kind: str, payload: Payload, tally: Tally | None) -> Payload | None:
    if tally is not None:
        tally.ran += 1
        tally.saw_change += payload["arguments"]["b"] == "changed"
    if kind == "modify":
        return {**payload, "arguments": {**payload["arguments"], "b": "changed"}}
    return None


def plugin(variant: str, kind: str, tally: Tally | None) -> object:
    class Plain:
        @hookimpl
        def tool_pre_invoke(self, payload: Payload, context: dict[str, str]) -> Payload | None:
            return answer(kind, payload, tally)

    class Coroutine:
        @hookimpl
        async def tool_pre_invoke(
            self, payload: Payload, context: dict[str, str]
        ) -> Payload | None:
            return answer(kind, payload, tally)

    return Coroutine() if variant == "awaited" else Plain()


async def build(variant: str, kind: str, count: int, tally: Tally | None) -> Subject | None:
    if kind == "skip":
        return None
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Specs)
    for _ in range(count):
        manager.register(plugin(variant, kind, tally))
    hook = manager.hook.tool_pre_invoke
    last = PAYLOAD

    async def plain() -> bool:
        nonlocal last
        answers = hook(payload=PAYLOAD, context={"id": "1"})
        last = answers[0] if answers else PAYLOAD
        return True

    async def awaited() -> bool:
        nonlocal last
        last = PAYLOAD
        for coroutine in hook(payload=PAYLOAD, context={"id": "1"}):
            if (changed := await coroutine) is not None:
                last = changed
        return True

    return Subject(awaited if variant == "awaited" else plain, lambda: last["arguments"])


serve(build, "pluggy")
