import inspect

from plugway_external_bridge.wire.hooks import HOOKS, Phase, find_hook
from plugway_hookspecs import Respond, Specs


def seeing_payloads() -> dict[str, inspect.Signature]:
    found = {
        name: inspect.signature(hook)
        for name, hook in vars(Specs).items()
        if inspect.isfunction(hook)
    }
    return {name: s for name, s in found.items() if "payload" in s.parameters}


def test_every_hook_that_sees_a_payload_has_its_event() -> None:
    assert set(HOOKS) == set(seeing_payloads())


def test_payloads_and_answers_are_those_of_the_specification() -> None:
    for name, signature in seeing_payloads().items():
        hook = HOOKS[name]
        assert signature.parameters["payload"].annotation is hook.payload
        may_answer = Respond in signature.return_annotation.__args__
        assert may_answer is (hook.answer is not None)
        is_question = hook.phase is Phase.REQUEST and name != "resource_pre_subscribe"
        assert may_answer is is_question


def test_a_hook_is_found_by_its_event_and_phase() -> None:
    assert find_hook("tools/call", Phase.REQUEST) is HOOKS["tool_pre_invoke"]
    assert find_hook("tools/list", Phase.REQUEST) is None
    assert find_hook("resources/subscribe", Phase.RESPONSE) is None
    assert find_hook("llm/completion", Phase.REQUEST) is None
