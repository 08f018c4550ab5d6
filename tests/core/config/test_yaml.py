import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.config import load, parse
from plugway.config.tree import Node, render
from plugway.config.yaml_source import MAX_NODES, read_yaml
from plugway.errors import ConfigError

FILE = Path("plugway.yaml")


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, file=FILE, env={})
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("012", 12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("1:30", "1:30"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("!!int '7'", 7),
    ],
)
def test_scalars_are_read_as_yaml_1_2_says(text: str, value: object) -> None:
    assert plain(read_yaml(f"key: {text}")) == {"key": value}


def test_keys_are_strings_as_they_are_written() -> None:
    tree = read_yaml("404: a\non: b\nnull: c\n1.50: d\n")
    assert list(tree.entries) == ["404", "on", "null", "1.50"]


def test_every_value_knows_its_line_and_its_path() -> None:
    tree = read_yaml("a:\n  b:\n    - 1\n    -\n      c: 2\n")
    item = tree.entries["a"].entries["b"].items[1]
    assert (item.line, item.path) == (5, ("a", "b", 1))
    assert (item.entries["c"].line, render(item.entries["c"].path)) == (5, "a.b[1].c")


def test_aliases_and_merges_are_filled_in() -> None:
    tree = read_yaml("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 9}, *a]}\n")
    assert plain(tree) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 9, "y": 2},
    }


def test_a_duplicate_key_is_an_error_that_names_both_lines() -> None:
    message = refusal("mcpServers:\n  a: {command: x}\n  b: {command: y}\n  a: {command: z}\n")
    assert message == ("plugway.yaml:4: mcpServers.a: 'a' is already there on line 2: remove one")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "plugway.yaml: is empty"),
        ("# only a comment\n", "plugway.yaml: is empty"),
        ("- a\n", "plugway.yaml:1: expected a mapping with `mcpServers`"),
        ("just text", "plugway.yaml:1: expected a mapping"),
        ("a:\n\tb: 1\n", "plugway.yaml:2: a tab (column 1): YAML is indented with spaces"),
        ("a: 1\n---\nb: 2\n", "plugway.yaml:2: a second document begins here"),
        ("a: [1, 2\nb: 3\n", "plugway.yaml:2: is not YAML: expected ',' or ']'"),
        ("a: *nobody\n", "plugway.yaml:1: is not YAML: found undefined alias 'nobody'"),
        ("a: {b: ${X}}\n", 'inside { } and [ ], put "${...}" in quotes'),
        ("a: !secret x\n", "plugway.yaml:1: a: the tag !secret has no meaning here"),
        ("a: !!set {x}\n", "has no meaning here"),
        ("a: !!binary aGk=\n", "has no meaning here"),
        ("? [a]\n: b\n", "plugway.yaml:1: a key must be a single word or a string"),
        ("a: &a [*a]\n", "plugway.yaml:1: a[0]: an alias that contains itself"),
        ("a: {<<: 3}\n", "`<<` needs a mapping"),
        ("a: !!int x\n", "is tagged as a number and isn't one"),
        ("a: \x00\n", "plugway.yaml: is not YAML: "),
        ("[" * 500, "nested too deeply"),
    ],
)
def test_what_is_no_configuration_is_refused_in_one_sentence(text: str, expected: str) -> None:
    message = refusal(text)
    assert expected in message
    assert "\n" not in message


def test_aliases_cannot_blow_a_small_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert f"more than {MAX_NODES} values" in refusal("\n".join(lines))


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse("\ufeffmcpServers: {a: {command: x}}").servers["a"].command == "x"


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "plugway.yaml"
    with pytest.raises(ConfigError, match=r"plugway\.yaml: there is no such file$"):
        load(path)


def test_a_directory_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory: name the file in it"):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"p\.yaml: can't be read: Not a directory$"):
        load(tmp_path / "file" / "p.yaml")


def test_bad_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "plugway.yaml"
    path.write_bytes(b"mcpServers:\n  a: {command: \xff}\n")
    with pytest.raises(ConfigError, match=r"plugway\.yaml:2: is not UTF-8"):
        load(path)


def test_a_file_is_read_as_the_text_in_it(tmp_path: Path) -> None:
    path = tmp_path / "plugway.yaml"
    path.write_text("mcpServers: {ä.b: {command: x}}\n".replace("ä", "a"))
    config = load(path)
    assert config.file == path
    assert list(config.servers) == ["a.b"]


TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from([None, 2]))
def test_json_in_a_yaml_file_is_read_as_json(value: object, indent: int | None) -> None:
    text = json.dumps({"": value}, indent=indent, ensure_ascii=False)
    assert plain(read_yaml(text)) == {"": value}
