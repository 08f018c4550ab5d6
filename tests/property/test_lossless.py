"""What servers and clients say to each other arrives as it was said, whatever it is.

Raw servers and raw clients of both eras and transports, with a gateway between them; all that may
differ is what `allowed` and its neighbours say, and no more.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bounds import at_most
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from wire_clients import CAPABILITIES, SECONDS, Exchange, HttpClient, PipeClient, RawClient, program

SERVER = str(Path(__file__).parent / "servers" / "raw_server.py")
FRONTS = [f"{era}-{transport}" for transport in ("http", "stdio") for era in ("modern", "legacy")]
SERVERS = FRONTS
RESERVED = ("progressToken", "traceparent", "tracestate", "baggage")
PROGRESSED, LOGGED = "notifications/progress", "notifications/message"
LISTED = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

TEXT = st.text(
    'aé"\\/<\0\t\n\r\x0b\x1c\x7f\x85\u200d\u2028\u2029\ud7ff\ufeff\uffff😀\U0010ffff', max_size=5
)
"""Text of characters that somebody on the way might take for something else."""
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**60), 10**60),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
KEYS = TEXT.map(lambda text: f"x-{text}")
"""Names of fields that no version of MCP has."""
FIELDS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(KEYS, VALUES, max_size=3)


def _nested(depth: int) -> Any:
    value: Any = None
    for level in range(depth):
        value = [value] if level % 2 else {"": value}
    return value


DEEP = st.integers(0, 100).map(_nested)
META: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional={"_meta": FIELDS})
HINTS: list[dict[str, Any]] = [{}, {"ttlMs": 5, "cacheScope": "public"}, {"ttlMs": -1}]
METHODS = ("tools/call", "prompts/get", "resources/read", "completion/complete")
ASKS = ("elicitation/create", "sampling/createMessage", "roots/list")
MORE_OF_A_CALL: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"structuredContent": VALUES, "isError": st.booleans()}
)
MORE_OF_PROGRESS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"total": st.integers(), "message": TEXT}
)


@st.composite
def results(draw: st.DrawFn, method: str) -> dict[str, Any]:
    """Draw what a server answers: objects of any kind where MCP has objects."""
    more = draw(FIELDS) | draw(META) | {"x-deep": draw(DEEP)}
    blocks = draw(st.lists(FIELDS, max_size=3))
    match method:
        case "tools/call":
            kinds = [{"type": "hologram", **block} for block in blocks]
            return {"content": [*blocks, *kinds], **draw(MORE_OF_A_CALL), **more}
        case "prompts/get":
            return {"messages": [{"role": "user", "content": each} for each in blocks], **more}
        case "resources/read":
            return {"contents": blocks, **draw(st.sampled_from(HINTS)), **more}
        case _:
            values = draw(st.lists(TEXT, max_size=3))
            return {"completion": {"values": values, **draw(FIELDS)}, **more}


@st.composite
def progress_messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw the params of what is said of progress."""
    said = draw(st.lists(MORE_OF_PROGRESS, max_size=3))
    return [
        {**draw(FIELDS), **draw(META), "progress": number, **each}
        for number, each in enumerate(said)
    ]


@st.composite
def log_messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw the params of log messages."""
    levels = draw(st.lists(st.sampled_from(["debug", "info", "emergency"]), max_size=2))
    return [{"level": level, "data": draw(VALUES), **draw(FIELDS)} for level in levels]


@st.composite
def questions(draw: st.DrawFn, method: str) -> dict[str, Any]:
    """Draw what a server asks."""
    params = draw(FIELDS) | {"x-": draw(VALUES)}
    match method:
        case "elicitation/create":
            schema: dict[str, Any] = {"type": "object", "properties": {}, **draw(FIELDS)}
            params |= {"mode": "form", "message": draw(TEXT), "requestedSchema": schema}
        case "sampling/createMessage":
            block = {"type": "text", "text": draw(TEXT), **draw(FIELDS)}
            params |= {"messages": [{"role": "user", "content": block}]}
            params["maxTokens"] = draw(st.integers(1, 10**9))
        case _:
            pass
    return {"method": method, "params": params}


@st.composite
def items(
    draw: st.DrawFn, fixed: dict[str, Any], prefix: str, key: str = "name"
) -> list[dict[str, Any]]:
    """Draw items of a list, each with an identifier of its own."""
    found = draw(st.lists(FIELDS, max_size=3))
    return [
        {**fixed, **each, **draw(META), "title": draw(TEXT), key: f"{prefix}{number}"}
        for number, each in enumerate(found)
    ]


@st.composite
def answers(draw: st.DrawFn, method: str) -> dict[str, Any]:
    """Draw what a client answers."""
    more = draw(FIELDS)
    match method:
        case "elicitation/create":
            content = draw(st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53), max_size=3))
            return {"action": "accept", "content": content, **more}
        case "sampling/createMessage":
            block = {"type": "text", "text": draw(TEXT), **draw(FIELDS)}
            return {"role": "assistant", "content": block, "model": draw(TEXT), **more}
        case _:
            return {"roots": [{"uri": "file:///x", **draw(FIELDS)}], **more}


def params_for(method: str, server: str) -> dict[str, Any]:
    """Return what a request needs to be valid, and to find its server."""
    match method:
        case "resources/read":
            return {"uri": f"{server}://r"}
        case "completion/complete":
            ref = {"type": "ref/prompt", "name": server}
            return {"ref": ref, "argument": {"name": "a", "value": "b"}}
        case "prompts/get":
            return {"name": server, "arguments": {"a": "b"}}
        case _:
            return {"name": server, "arguments": {"a": "b"}}


def allowed(method: str, result: dict[str, Any], *, modern: bool) -> dict[str, Any]:
    """Return a server's result as a client's era has it: see `plugway.dispatch.shaping`."""
    meta = dict(result.get("_meta", {}))
    if modern:
        wanted = {"resultType": "complete", **result, "_meta": meta}
        if method == "resources/read":
            hints = {"ttlMs": result.get("ttlMs", 0), "cacheScope": "private", **result}
            wanted |= {"ttlMs": max(0, hints["ttlMs"]), "cacheScope": hints["cacheScope"]}
        return wanted
    of_modern = {"resultType", "ttlMs", "cacheScope"}
    wanted = {key: value for key, value in result.items() if key not in of_modern}
    if not meta:
        wanted.pop("_meta", None)
    if not isinstance(wanted.get("structuredContent", {}), dict):
        del wanted["structuredContent"]
    return wanted


def without_hop(params: dict[str, Any]) -> dict[str, Any]:
    """Return params without what belongs to one hop: they are compared at either end of it."""
    own = ("inputResponses", "requestState", "_meta")
    kept = {key: value for key, value in params.items() if key not in own}
    meta = {
        key: value
        for key, value in params.get("_meta", {}).items()
        if key not in RESERVED and not key.startswith("io.modelcontextprotocol/")
    }
    return {**kept, "_meta": meta} if meta else kept


def as_progress(params: dict[str, Any]) -> dict[str, Any]:
    """Return progress as clients get it: with their own token."""
    return {**params, "progressToken": "t"}


def without_kind(question: dict[str, Any]) -> dict[str, Any]:
    """Return a question without the form that it has in one of the eras alone."""
    params = question.get("params", {})
    return {**question, "params": {k: v for k, v in params.items() if k != "_meta"}}


def without_roots(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the questions but for those about roots."""
    return [each for each in questions if each["method"] != "roots/list"]


def same(got: Any, wanted: Any) -> bool:
    """Whether two JSON values are the same: 1 is not 1.0, nor True."""
    return json.dumps(got, sort_keys=True) == json.dumps(wanted, sort_keys=True)


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RawClient]]:
    """Clients of a gateway over HTTP, and of one each that is a program, by era and transport."""
    with ExitStack() as stack:
        file = tmp_path_factory.mktemp("lossless") / "plugway.json"
        servers = {name: _server(stack, name) for name in SERVERS}
        config = {"mcpServers": servers, "gateway": {"port": 0}}
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "plugway", "serve", "-c", str(file), "--no-reload"]
        gateway = stack.enter_context(program([*command, "--json"]))
        url = _url(gateway)
        http = stack.enter_context(httpx2.Client(timeout=SECONDS))
        found: dict[str, RawClient] = {}
        for era in ("modern", "legacy"):
            piped = stack.enter_context(program([*command, "--stdio"]))
            found[f"{era}-stdio"] = PipeClient(piped, modern=era == "modern")
            found[f"{era}-http"] = HttpClient(http, url, modern=era == "modern")
        for client in found.values():
            client.begin()
        yield found


def _server(stack: ExitStack, name: str) -> dict[str, Any]:
    era, transport = name.split("-")
    if transport == "stdio":
        return {"command": sys.executable, "args": [SERVER, era], "era": era, "prefix": ""}
    listener = socket.create_server(("127.0.0.1", 0))
    handle = listener.fileno()
    command = [sys.executable, SERVER, era, str(handle)]
    stack.enter_context(program(command, pass_fds=[handle]))
    port = listener.getsockname()[1]
    listener.close()
    return {"url": f"http://127.0.0.1:{port}/mcp", "era": era, "prefix": ""}


def _url(gateway: "subprocess.Popen[bytes]") -> str:
    assert gateway.stdout is not None
    text = ""
    while not text.endswith("\n}\n"):
        line = gateway.stdout.readline()
        assert line, "the gateway does not start"
        text += line.decode()
    return str(json.loads(text)["url"])


def exchange(
    client: RawClient, server: str, method: str, give: Any, more: dict[str, Any] | None = None
) -> Exchange:
    """Have a server say something, and return what came of it."""
    params: dict[str, Any] = {
        **params_for(method, server),
        **(more or {}),
        "x-give": json.dumps(give),
    }
    return client.request(method, params)


few = settings(at_most(4), phases=[Phase.explicit, Phase.reuse, Phase.generate])
"""Each example goes over real wires, and one that fails may take its time: it is not shrunk."""
everywhere = pytest.mark.parametrize(
    ("front", "server"), [(front, server) for front in FRONTS for server in SERVERS]
)


@everywhere
@given(data=st.data())
@few
def test_results_and_params_arrive_as_they_were_sent(
    clients: dict[str, RawClient], front: str, server: str, data: st.DataObject
) -> None:
    method = data.draw(st.sampled_from(METHODS))
    result = data.draw(results(method))
    more = data.draw(FIELDS) | data.draw(META)
    if method == "tools/call":
        more["arguments"] = data.draw(st.dictionaries(TEXT, VALUES, max_size=4))
    client = clients[front]
    got = exchange(client, server, method, {"result": result}, more)
    answer = got.answer["result"]
    seen = answer.pop("x-seen")
    if client.modern:
        assert answer["_meta"].pop(SERVER_INFO)["name"] == "plugway"
    assert same(answer, allowed(method, result, modern=client.modern))
    sent = {**params_for(method, server), **more, "x-give": json.dumps({"result": result})}
    assert same(without_hop(seen), without_hop(sent))


@everywhere
@given(data=st.data())
@few
def test_questions_answers_and_messages_arrive_as_they_were_sent(
    clients: dict[str, RawClient], front: str, server: str, data: st.DataObject
) -> None:
    question = data.draw(questions(data.draw(st.sampled_from(ASKS))))
    progress, logs = data.draw(progress_messages()), data.draw(log_messages())
    client = clients[front]
    answer = data.draw(answers(question["method"]))
    client.answers = {question["method"]: answer}
    give: dict[str, Any] = {
        "result": {"content": []},
        "ask": question,
        "progress": progress,
        "logs": logs,
    }
    got = exchange(client, server, "tools/call", give, {"_meta": {"progressToken": "t"}})
    asked = [without_kind(each) for each in got.questions]
    wanted = [without_kind(question)]
    if client.modern and server.startswith("legacy"):  # the gateway asks for roots by itself
        asked, wanted = without_roots(asked), without_roots(wanted)
    assert same(asked, wanted)
    assert same(got.answer["result"]["x-answer"], answer)
    heard = [each["params"] for each in got.notices if each["method"] == PROGRESSED]
    assert same(heard, [as_progress(each) for each in progress])
    shared = server == "modern-stdio" and front.endswith("http")  # nobody knows whose a message is
    told = [each["params"] for each in got.notices if each["method"] == LOGGED]
    assert same(told, [] if shared else logs)


@everywhere
@given(data=st.data())
@few
def test_errors_arrive_as_they_were_sent(
    clients: dict[str, RawClient], front: str, server: str, data: st.DataObject
) -> None:
    error: dict[str, Any] = {"code": data.draw(st.integers(-31999, -1)), "message": data.draw(TEXT)}
    error |= data.draw(st.fixed_dictionaries({}, optional={"data": VALUES}))
    got = exchange(clients[front], server, "tools/call", {"error": error})
    wanted = {key: value for key, value in error.items() if value is not None}
    assert same(got.answer["error"], wanted)


@everywhere
@given(data=st.data())
@few
def test_lists_arrive_as_they_were_sent(
    clients: dict[str, RawClient], front: str, server: str, data: st.DataObject
) -> None:
    client = clients[front]
    offer = {
        "tools": data.draw(items({"inputSchema": {"type": "object"}}, f"{server}-")),
        "prompts": data.draw(items({}, f"{server}-")),
        "resources": data.draw(items({"name": "r"}, f"{server}://", "uri")),
        "resourceTemplates": data.draw(items({"name": "t"}, f"{server}://t/", "uriTemplate")),
    }
    client.capabilities = {}  # else its calls are lent another program than lists come from
    try:
        exchange(client, server, "tools/call", {"result": {"content": []}, "offer": offer})
        for method, key in LISTED.items():
            listed = client.request(method, {}).answer["result"][key]
            assert all(any(same(got, item) for got in listed) for item in offer[key])
    finally:
        client.capabilities = CAPABILITIES
