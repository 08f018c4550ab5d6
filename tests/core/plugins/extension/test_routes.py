"""HTTP routes of plugins: who reaches them, and what goes wrong in them."""

from typing import Any

import anyio
import httpx2
import pytest

from plugway.config import parse
from plugway.downstream.routes import report_unserved
from plugway.errors import ConfigError, StartupError
from plugway_hookspecs import HttpResponse

PAGES = """
import anyio

class Pages(Plugin):
    capabilities = frozenset({"read_headers"})

    @hookimpl
    async def register_routes(self):
        return [
            HttpRoute("/hello", self.hello),
            HttpRoute("/", self.hello),
            HttpRoute("/things", self.change, ("POST", "PUT")),
            HttpRoute("/things", self.hello),
            HttpRoute("/broken", self.broken),
            HttpRoute("/wrong", self.wrong),
            HttpRoute("/hangs", self.hangs),
            HttpRoute("/headers", self.headers),
        ]

    async def hello(self, request):
        return HttpResponse(f"hello {request.query.get('name')} from {self.name}")

    async def change(self, request):
        headers = {"X-Method": request.method, "Content-Type": "ignored"}
        return HttpResponse(request.body, 201, "application/json", headers)

    async def broken(self, request):
        raise RuntimeError("s3cret")

    async def wrong(self, request):
        return "hello"

    async def hangs(self, request):
        await anyio.sleep_forever()

    async def headers(self, request):
        return HttpResponse(",".join(request.headers))
"""

PLUGIN = {"name": "my pages", "kind": "pages"}


@pytest.fixture
def pages(package: Any) -> None:
    package("acme-pages", PAGES, "Pages")


async def get(url: str, method: str = "GET", **options: Any) -> httpx2.Response:
    with anyio.fail_after(5):
        async with httpx2.AsyncClient() as client:
            return await client.request(method, url, **options)


async def test_a_route_is_served_under_the_name_of_its_plugin(pages: None, served: Any) -> None:
    async with served(plugins=[PLUGIN, {**PLUGIN, "name": "b"}]) as (_, url):
        answer = await get(f"{url}/plugins/my%20pages/hello?name=Ada&name=Bob")
        assert answer.status_code == 200
        assert answer.text == "hello Bob from my pages"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await get(f"{url}/plugins/b/")).text == "hello None from b"
        head = await get(f"{url}/plugins/b/hello", "HEAD")
        assert (head.status_code, head.content) == (200, b"")


async def test_a_body_and_headers_go_both_ways(pages: None, served: Any) -> None:
    async with served(plugins=[PLUGIN]) as (_, url):
        answer = await get(f"{url}/plugins/my pages/things", "PUT", content=b'{"a": 1}')
        assert (answer.status_code, answer.json()) == (201, {"a": 1})
        assert answer.headers["x-method"] == "PUT"
        assert answer.headers.get_list("content-type") == ["application/json"]


@pytest.mark.parametrize(
    "path",
    ["my pages/nothing", "my pages/hello/", "other/hello", "my pages", "", "my pages/../health"],
)
async def test_what_no_plugin_serves_is_not_found(pages: None, served: Any, path: str) -> None:
    async with served(plugins=[PLUGIN]) as (_, url):
        answer = await get(f"{url}/plugins/{path}")
        assert answer.status_code == 404


async def test_another_method_is_refused_with_those_that_are_served(
    pages: None, served: Any
) -> None:
    async with served(plugins=[PLUGIN]) as (_, url):
        answer = await get(f"{url}/plugins/my pages/things", "DELETE")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST, PUT"
        answer = await get(f"{url}/plugins/my pages/hello", "POST")
        assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "what"),
    [("broken", "raised RuntimeError at "), ("wrong", "raised TypeError at ")],
)
async def test_what_goes_wrong_in_a_route_is_in_the_log_and_not_in_the_answer(
    pages: None, served: Any, caplog: pytest.LogCaptureFixture, path: str, what: str
) -> None:
    async with served(plugins=[PLUGIN]) as (_, url):
        answer = await get(f"{url}/plugins/my pages/{path}")
        assert answer.status_code == 500
        assert answer.json() == {"error": "plugin 'my pages' failed; the gateway's log says why"}
        assert f"plugin 'my pages' failed at GET /{path}: it {what}" in caplog.text
        assert "s3cret" not in caplog.text
        assert (await get(f"{url}/plugins/my pages/hello")).status_code == 200


async def test_a_route_that_hangs_is_given_up_and_disturbs_nobody_meanwhile(
    pages: None, served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"plugins": [PLUGIN], "gateway": {"request_timeout": "300ms"}}
    answers: list[httpx2.Response] = []

    async def hang(url: str) -> None:
        answers.append(await get(f"{url}/plugins/my pages/hangs"))

    async with served(**config) as (_, url):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(hang, url)
            ping = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
            accept = {"Accept": "application/json, text/event-stream"}
            answer = await get(f"{url}/mcp", "POST", json=ping, headers=accept)
            assert answer.status_code == 200
            assert not answers
        assert {answer.status_code for answer in answers} == {504}
        assert answers[0].json() == {"error": "plugin 'my pages' took longer than 0.3 s"}
    assert "plugin 'my pages' timed out at GET /hangs" in caplog.text


INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


async def test_routes_are_behind_the_same_checks_as_the_endpoint(pages: None, served: Any) -> None:
    hello = "/plugins/my pages/hello"
    async with served(plugins=[PLUGIN]) as (_, url):
        evil = {"Origin": "https://evil.example"}
        assert (await get(url + hello, headers=evil)).status_code == 403
        assert (await get(url + hello, headers={"Host": "evil.example"})).status_code == 421
        own = {"Origin": url}
        assert (await get(url + hello, headers=own)).status_code == 200
    config = {"plugins": [PLUGIN], "gateway": {"token": "let-me-in"}}
    async with served(**config) as (_, url):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for path in (hello, "/plugins/nothing/there"):
                assert (await get(url + path, headers=headers)).status_code == 401
        right = {"Authorization": "Bearer let-me-in"}
        assert (await get(url + hello, headers=right)).status_code == 200


async def test_a_body_that_is_too_large_never_reaches_a_plugin(pages: None, served: Any) -> None:
    async with served(plugins=[PLUGIN], gateway={"max_payload_bytes": 1000}) as (_, url):
        things = f"{url}/plugins/my pages/things"
        assert (await get(things, "POST", content=b"x" * 1001)).status_code == 413
        assert (await get(things, "POST", content=b"x" * 1000)).status_code == 201


async def test_headers_are_for_those_who_may_read_them_and_credentials_for_nobody(
    pages: None, served: Any
) -> None:
    blind: dict[str, Any] = {**PLUGIN, "name": "blind", "capabilities": []}
    given = {"X-Trace": "1", "Cookie": "a=b", "X-Api-Key": "k", "Authorization": "Bearer let-me-in"}
    gateway = {"token": "let-me-in"}
    async with served(plugins=[PLUGIN, blind], gateway=gateway) as (_, url):
        seen = (await get(f"{url}/plugins/my pages/headers", headers=given)).text.split(",")
        assert "x-trace" in seen
        assert not {"cookie", "x-api-key", "authorization"} & set(seen)
        assert not (await get(f"{url}/plugins/blind/headers", headers=given)).text


async def test_routes_are_looked_up_for_each_request(pages: None, served: Any) -> None:
    async with served(plugins=[PLUGIN]) as (gateway, url):
        assert (await get(f"{url}/plugins/my pages/hello")).status_code == 200
        gone = gateway.registry.instances.pop()
        assert (await get(f"{url}/plugins/my pages/hello")).status_code == 404
        gateway.registry.instances.append(gone)
        assert (await get(f"{url}/plugins/my pages/hello")).status_code == 200


def test_the_endpoint_can_t_lie_where_the_routes_are() -> None:
    with pytest.raises(ConfigError, match="`path` is where the routes of plugins are"):
        parse("gateway: {path: /plugins/a/b}")


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error(
    pages: None, served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        b"POST /plugins/my%20pages/things HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n"
    )
    async with served(plugins=[PLUGIN]) as (_, url):
        stream = await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2]))
        await stream.send(head + b"{")
        await stream.aclose()
        assert (await get(f"{url}/plugins/my pages/hello")).status_code == 200
    assert not caplog.text


async def test_over_stdio_it_is_said_that_routes_can_t_be_reached(
    pages: None, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(PLUGIN) as registry:
        report_unserved(registry)
    (record,) = caplog.records
    assert "over stdio there are no HTTP routes: /plugins/my pages/hello, " in record.message
    caplog.clear()
    async with opened() as registry:
        report_unserved(registry)
    assert not caplog.records


# refusing


ROUTES = """
class Acme(Plugin):
    @hookimpl
    def register_routes(self):
        {}

    async def page(self, request): ...

    def plain(self, request): ...
"""


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("return ['/x']", "returned str; it has to return a list of HttpRoute"),
        ("return '/x'", "returned str; it has to return a list of HttpRoute"),
        ("return [HttpRoute('x', self.page)]", "'x' is no path"),
        ("return [HttpRoute('/a//b', self.page)]", "'/a//b' is no path"),
        ("return [HttpRoute('/a/../b', self.page)]", "'/a/../b' is no path"),
        ("return [HttpRoute('/a?b', self.page)]", "'/a?b' is no path"),
        (
            "return [HttpRoute('/a', self.page, 'GET')]",
            "the methods of /a have to be some of DELETE",
        ),
        ("return [HttpRoute('/a', self.page, ())]", "the methods of /a have to be some of"),
        ("return [HttpRoute('/a', self.page, ('get',))]", "the methods of /a have to be some of"),
        ("return [HttpRoute('/a', self.plain)]", "what answers /a has to be an `async def`"),
        ("return [HttpRoute('/a', self.page)] * 2", "two routes answer GET /a"),
        ("raise RuntimeError('s3cret')", "register_routes raised RuntimeError at "),
    ],
)
async def test_routes_that_could_not_be_served_keep_their_plugin_from_starting(
    package: Any, opened: Any, body: str, wrong: str
) -> None:
    package("acme", ROUTES.format(body), "Acme")
    with pytest.raises(StartupError) as caught:
        async with opened("acme"):
            pass
    assert wrong in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_name_that_would_be_two_parts_of_a_path_is_refused(
    pages: None, opened: Any
) -> None:
    with pytest.raises(StartupError, match="there may be no '/' in the name"):
        async with opened({"name": "a/b", "kind": "pages"}):
            pass


async def test_a_plugin_that_only_has_routes_guards_nothing_and_need_not(
    package: Any, opened: Any
) -> None:
    package("acme", ROUTES.format("return [HttpRoute('/a', self.page)]"), "Acme")
    async with opened("acme") as registry:
        assert [instance.urls for instance in registry.instances] == [["/plugins/acme/a"]]
    package("bare", ROUTES.format("return []").replace("Acme", "Bare"), "Bare")
    with pytest.raises(StartupError, match="it has no hook: nothing would be guarded"):
        async with opened("bare"):
            pass


async def test_a_plugin_that_is_for_chains_and_is_in_none_is_refused_though_it_has_routes(
    package: Any, opened: Any
) -> None:
    missing = "\n    @hookimpl(optionalhook=True)\n    def acme_scored(self): ...\n"
    route = "return [HttpRoute('/a', self.page)]"
    package("acme", ROUTES.format(route) + missing, "Acme")
    with pytest.raises(StartupError, match="it has no hook: nothing would be guarded"):
        async with opened("acme"):
            pass


@pytest.mark.parametrize(
    "headers", [{"X-A": "a\r\nX-B: b"}, {"X A": "a"}, {"X-A": "\0"}, {"": "a"}, {"X-A": "\u20ac"}]
)
def test_a_response_has_no_headers_that_http_can_t_carry(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not one that HTTP can carry"):
        HttpResponse("x", headers=headers)
    with pytest.raises(ValueError, match="'content-type' is not one"):
        HttpResponse("x", content_type="text/plain\r\nX-B: b")
