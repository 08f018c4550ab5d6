"""Whatever is done to a sealed state, it is refused; whatever was sealed comes back."""

import base64
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plugway.dispatch.sealing import Round, Sealer
from plugway.jsonrpc import RpcError

SEALER = Sealer(["k" * 32])
TOKEN = SEALER.seal(Round("s", "t", "state", asked={"q": "roots/list"}), "b")

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.text(), st.none() | st.text(), st.text(), st.integers(0), st.dictionaries(st.text(), json)
)
def test_what_was_sealed_comes_back_as_it_was(
    server: str, state: str | None, parked: str, turn: int, answers: dict[str, Any]
) -> None:
    sealed = Round(server, "t", state, parked, turn, {"q": "roots/list"}, answers)
    assert SEALER.open(SEALER.seal(sealed, "b"), "b") == sealed


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_another_character_anywhere_is_noticed(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assume(changed != TOKEN)
    with pytest.raises(RpcError):
        SEALER.open(changed, "b")


@given(st.integers(0, len(TOKEN)), st.integers(0, len(TOKEN)), st.text(max_size=3))
def test_a_cut_anywhere_is_noticed(start: int, end: int, put: str) -> None:
    changed = TOKEN[:start] + put + TOKEN[end:]
    assume(changed != TOKEN)
    with pytest.raises(RpcError):
        SEALER.open(changed, "b")


@given(st.integers(min_value=0), st.integers(0, 7))
def test_another_bit_anywhere_is_noticed(byte: int, bit: int) -> None:
    version, _, body = TOKEN.partition(".")
    raw = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    raw[byte % len(raw)] ^= 1 << bit
    changed = version + "." + base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with pytest.raises(RpcError):
        SEALER.open(changed, "b")


@given(st.text())
def test_no_text_is_a_state_by_chance(text: str) -> None:
    with pytest.raises(RpcError):
        SEALER.open(text, "b")
