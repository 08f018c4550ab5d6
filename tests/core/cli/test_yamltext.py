"""The YAML that `init` writes reads back as what went in."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plugway.cli.importing.yamltext import block, scalar
from plugway.config.tree import Node
from plugway.config.yaml_source import read_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(TEXT, st.booleans(), st.none(), st.integers(-(10**9), 10**9))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=3))
def test_whatever_is_written_reads_back_the_same(value: dict[str, Any]) -> None:
    assert plain(read_yaml(block(value))) == value


@given(st.sampled_from(["yes", "No", "on", "null", "~", "1.0", "0x1f", "-1", ".5", "1e3", "- a"]))
def test_what_other_readers_take_for_something_else_is_quoted(text: str) -> None:
    assert scalar(text).startswith('"')


def test_what_needs_no_quotes_has_none() -> None:
    plain_ones = ["npx", "-y", "--read-only", "/data/x.db", "https://crm.example/mcp", "a=b"]
    assert [scalar(text) for text in plain_ones] == plain_ones
