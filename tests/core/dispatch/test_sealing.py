from typing import Any

import pytest

from plugway.dispatch.sealing import Round, Sealer, binding
from plugway.jsonrpc import INVALID_PARAMS, RpcError
from plugway_hookspecs import Operation, Principal

KEYS = ["k" * 32, "l" * 32, "m" * 32]
STATE = Round(
    "crm",
    "find",
    state="of the server",
    parked="p",
    turn=3,
    asked={"q": "roots/list"},
    answers={"a": {"big": 2**80, "none": None}},
)


def refused(sealer: Sealer, token: object, bound: str = "b") -> str:
    """Return the reason for which a state is refused."""
    with pytest.raises(RpcError) as caught:
        sealer.open(token, bound)
    error = caught.value
    assert error.code == INVALID_PARAMS
    assert error.message.startswith("Invalid requestState: ")
    assert error.message.endswith("; send the request again without it")
    data: Any = error.data
    return str(data["reason"])


def test_what_was_sealed_is_opened_again() -> None:
    sealer = Sealer()
    token = sealer.seal(STATE, "b")
    assert sealer.open(token, "b") == STATE
    assert "of the server" not in token
    assert "crm" not in token


@pytest.mark.parametrize("token", [None, 1, 1.5, True, [], {}, "", "x", "v1.", "é", "\ud800", "💥"])
def test_what_is_no_state_is_refused(token: object) -> None:
    assert refused(Sealer(), token) == "not_ours"


def test_a_state_is_for_one_request_only() -> None:
    sealer = Sealer()
    assert refused(sealer, sealer.seal(STATE, "b"), "c") == "other_request"


def test_a_state_expires() -> None:
    now = 0.0
    sealer = Sealer(KEYS, 10, lambda: now)
    token = sealer.seal(STATE, "b")
    now = 9.9
    assert sealer.open(token, "b") == STATE
    now = 10.0
    assert refused(sealer, token) == "expired"


def test_keys_are_rotated_without_losing_what_is_under_way() -> None:
    old = Sealer(KEYS[:1])
    token = old.seal(STATE, "b")
    both = Sealer([KEYS[1], KEYS[0]])
    assert both.open(token, "b") == STATE
    newer = both.seal(STATE, "b")
    assert Sealer(KEYS[1:2]).open(newer, "b") == STATE
    assert refused(old, newer) == "not_ours"
    assert refused(Sealer([KEYS[2], KEYS[1]]), token) == "not_ours"


def test_without_keys_nothing_survives_a_restart() -> None:
    assert refused(Sealer(), Sealer().seal(STATE, "b")) == "not_ours"
    assert Sealer(KEYS).open(Sealer(KEYS).seal(STATE, "b"), "b") == STATE


@pytest.mark.parametrize("text", ["[]", "1", "{}", '{"until": 1e99}', "null", "x", "\x00"])
def test_what_the_same_key_has_sealed_for_something_else_is_refused(text: str) -> None:
    sealer = Sealer(KEYS)
    token = sealer._codec.seal(text.encode())  # pyright: ignore[reportPrivateUsage]
    assert refused(sealer, token) == "not_ours"


def test_what_another_version_has_sealed_is_refused() -> None:
    sealer = Sealer(KEYS)
    text = b'{"until": 1e99, "bound": "b", "server": "crm", "novelty": 1}'
    token = sealer._codec.seal(text)  # pyright: ignore[reportPrivateUsage]
    assert refused(sealer, token) == "not_ours"


def bound(params: dict[str, Any], method: str = "tools/call", **about: Any) -> str:
    return binding(Operation("1", method, **about), params)


def test_a_state_is_bound_to_who_asks_for_what() -> None:
    params: dict[str, Any] = {"name": "t", "arguments": {"a": 1, "b": [None]}}
    one = bound(params)
    rounds: dict[str, Any] = {
        "requestState": "x",
        "inputResponses": {"q": {}},
        "_meta": {"progressToken": 1},
    }
    assert bound({**params, **rounds}) == one
    assert bound({"arguments": {"b": [None], "a": 1}, "name": "t"}) == one
    others = [
        bound(params, method="prompts/get"),
        bound(params, principal=Principal(user="ann")),
        bound(params, principal=Principal(tenant="ann")),
        bound({**params, "name": "u"}),
        bound({**params, "arguments": {"a": 1.5, "b": [None]}}),
        bound({**params, "arguments": {"a": True, "b": [None]}}),
        bound({**params, "novelty": 1}),
        bound({"name": "t"}),
    ]
    assert len({one, *others}) == len(others) + 1
