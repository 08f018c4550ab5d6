"""Laws of the small parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.config import ServerConfig
from plugway.upstream import open_upstreams
from plugway.upstream.backoff import Backoff
from plugway.upstream.calls import Call
from plugway.upstream.envelope import headers_of, params_of
from plugway.upstream.lines import LineSplitter
from plugway.upstream.values import as_object
from plugway_hookspecs import freeze

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
meta_keys = st.sampled_from(
    ["progressToken", "traceparent", "io.modelcontextprotocol/clientInfo", "vendor/x"]
)
metas = st.dictionaries(meta_keys | st.text(), json_values)


@given(st.lists(st.binary()), st.integers(1, 50))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes], limit: int) -> None:
    whole = LineSplitter(limit).feed(b"".join(chunks))
    splitter = LineSplitter(limit)
    pieces = [line for chunk in chunks for line in splitter.feed(chunk)]
    expected = b"".join(chunks).split(b"\n")[:-1]

    assert [line.whole for line in pieces] == [len(line) <= limit for line in expected]
    assert [line.head for line in pieces if line.whole] == [e for e in expected if len(e) <= limit]
    assert [line.whole for line in whole] == [line.whole for line in pieces]
    for line, all_of_it in zip(pieces, expected, strict=True):
        assert all_of_it.startswith(line.head)
        assert all_of_it.endswith(line.tail)


@given(st.dictionaries(st.text(), json_values), metas | json_values, st.booleans())
def test_everything_is_sent_except_what_is_reserved(
    params: dict[str, Any], meta: Any, modern: bool
) -> None:
    frozen = freeze({**params, "_meta": meta})
    sent = params_of(Call("x", frozen), 7, protocol_version="2026-07-28", modern=modern)
    received = sent.pop("_meta", {})
    kept = {
        key: value
        for key, value in received.items()
        if not key.startswith("io.modelcontextprotocol/")
    }

    assert sent == {key: value for key, value in params.items() if key != "_meta"}
    given_meta = as_object(meta)
    reserved = {"progressToken", "traceparent", "tracestate", "baggage"}
    assert kept == {
        key: value
        for key, value in given_meta.items()
        if key not in reserved and not key.startswith("io.modelcontextprotocol/")
    }
    assert ("io.modelcontextprotocol/clientInfo" in received) is modern


@given(st.text(), st.text())
def test_headers_can_always_be_sent(name: str, argument: str) -> None:
    schema = {"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    call = Call("tools/call", {"name": name, "arguments": {"a": argument}}, tool_schema=schema)
    headers = headers_of(call, protocol_version="2026-07-28", modern=True)
    assert all(value.isascii() and value.isprintable() for value in headers.values())


def test_a_task_is_named_in_the_headers() -> None:
    call = Call("tasks/get", {"taskId": "t1"})
    headers = headers_of(call, protocol_version="2026-07-28", modern=True)
    assert (headers["mcp-method"], headers["mcp-name"]) == ("tasks/get", "t1")


def test_delays_grow_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(first=1, longest=8)
    delays = [backoff.failed() for _ in range(100)]
    for delay, most in zip(delays, [1, 2, 4, 8, *[8] * 96], strict=True):
        assert most * 0.75 <= delay <= most
    backoff.connected()
    assert backoff.failed() <= 1


def test_a_lost_connection_is_made_again_at_once_unless_it_keeps_being_lost() -> None:
    backoff = Backoff(first=1, longest=8, stable=30)
    assert backoff.lost(lasted=1) == 0
    assert 0 < backoff.lost(lasted=1) <= 1
    assert 1 < backoff.lost(lasted=1) <= 2
    assert backoff.lost(lasted=31) == 0
    assert backoff.lost(lasted=31) == 0


async def test_an_error_of_the_caller_is_not_wrapped() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_upstreams({"a": ServerConfig(command="x")}):
            raise ZeroDivisionError
