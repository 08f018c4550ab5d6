"""`server-filesystem` and `server-memory` behind the gateway, as every client sees them."""

from collections.abc import Callable

import pytest
from foreign_tours import THROUGH, Route, Seen

pytestmark = pytest.mark.interop


@pytest.fixture(scope="session", params=THROUGH, ids=str)
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


def test_a_file_is_written_and_read_again(route: Route, tour: Callable[[Route, str], Seen]) -> None:
    _, read = tour(route, "files")["written"].answers
    assert read["content"][0]["text"] == "written through the client"


def test_a_file_outside_the_servers_folder_is_refused_by_the_server(
    route: Route, tour: Callable[[Route, str], Seen]
) -> None:
    answer = tour(route, "files")["outside"].only()
    assert answer["isError"]
    assert "outside allowed directories" in answer["content"][0]["text"]


def test_what_is_remembered_is_recalled(route: Route, tour: Callable[[Route, str], Seen]) -> None:
    _, graph = tour(route, "memory")["kept"].answers
    (entity,) = graph["structuredContent"]["entities"]
    assert entity["name"] == "Ada"
    assert entity["observations"] == ["wrote the first program"]
