import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway.config import Config, load, parse
from plugway.config.references import MAX_FILE_BYTES
from plugway.errors import ConfigError

VALUES = st.text(st.characters(exclude_categories=["Cs"]))
LITERALS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="$"))
DEFAULTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="${}"))


def args(text: str, env: dict[str, str]) -> list[str]:
    content = {"mcpServers": {"a": {"command": "x", "args": [text]}}}
    return parse(json.dumps(content), file=Path("x.json"), env=env).servers["a"].args


def in_yaml(text: str, env: dict[str, str], file: Path | None = None) -> Config:
    source = f"mcpServers:\n  a:\n    command: x\n    args:\n      - {text}\n"
    return parse(source, file=file, env=env)


def refusal(text: str, env: dict[str, str] | None = None, file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        in_yaml(text, env or {}, file or Path("p.yaml"))
    return str(caught.value)


@given(VALUES)
def test_a_variable_comes_in_exactly_as_it_is(value: str) -> None:
    assert args("${V}", {"V": value}) == [value]


@given(st.lists(LITERALS | st.just(None), max_size=6), VALUES)
def test_text_round_references_stays_exactly_as_it_is(pieces: list[str | None], value: str) -> None:
    text = "".join("${V}" if piece is None else piece for piece in pieces)
    expected = "".join(value if piece is None else piece for piece in pieces)
    assert args(text, {"V": value}) == [expected]


@given(VALUES)
def test_doubling_every_dollar_gives_the_text_back(value: str) -> None:
    assert args(value.replace("$", "$$"), {}) == [value]


@given(DEFAULTS, VALUES)
def test_a_default_stands_in_for_what_is_unset_or_empty(default: str, value: str) -> None:
    assert args(f"<${{V:-{default}}}>", {}) == [f"<{default}>"]
    assert args(f"<${{V:-{default}}}>", {"V": value}) == [f"<{value or default}>"]


@pytest.mark.parametrize(
    "value", ["a&b\"c'd", "line\nline", "${OTHER}", "$$", "{{ x }}", "a: [b", "\\n", "<>&amp;"]
)
def test_nothing_in_a_secret_has_a_meaning(value: str) -> None:
    assert in_yaml("before-${V}-after", {"V": value}).servers["a"].args == [f"before-{value}-after"]


@pytest.mark.parametrize("text", ["$HOME", "5$", "$(x)", "a$b$", "$ {X}"])
def test_a_dollar_before_anything_else_is_itself(text: str) -> None:
    assert in_yaml(text, {"HOME": "h", "b": "b"}).servers["a"].args == [text]


def test_an_empty_variable_is_a_value() -> None:
    assert in_yaml("x${V}", {"V": ""}).servers["a"].args == ["x"]


def test_a_missing_variable_is_an_error_that_names_it_and_what_helps() -> None:
    assert refusal("${NOT_THERE}") == (
        "p.yaml:5: mcpServers.a.args[0]: the environment variable NOT_THERE is not set: "
        "set it, or write ${VAR:-default} or ${file:path}"
    )


def test_keys_are_never_replaced() -> None:
    config = parse('mcpServers: {a: {command: x, env: {"${V}": "1"}}}', env={"V": "v"})
    assert config.servers["a"].env == {"${V}": "1"}


def test_references_stand_wherever_a_number_or_a_flag_does() -> None:
    config = parse(
        """
        mcpServers: {a: {command: x, required: "${R}", timeout: "${T}"}}
        gateway: {port: "${P}", max_payload_bytes: "${M}"}
        """,
        env={"R": "true", "T": "2s", "P": "9000", "M": "1MiB"},
    )
    assert config.servers["a"].required is True
    assert config.servers["a"].timeout == 2
    assert (config.gateway.port, config.gateway.max_payload_bytes) == (9000, 1024 * 1024)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${}", "is not a reference"),
        ("${1X}", "is not a reference"),
        ("${a b}", "is not a reference"),
        ("${X-default}", "is not a reference"),
        ("${A:-${B}}", "not one inside the other"),
        ("'${A'", "`${` is not closed by `}`"),
        ("${input:token}", "`${input:token}` is not a reference"),
    ],
)
def test_what_looks_like_a_reference_and_is_none_is_refused(text: str, expected: str) -> None:
    message = refusal(text, {"A": "a", "B": "b"})
    assert message.startswith("p.yaml:5: mcpServers.a.args[0]: ")
    assert expected in message


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret", "secret"),
        (b"two\nlines\n\n", "two\nlines\n"),
        (b"", ""),
        (b"${X} $$ a&b\n", "${X} $$ a&b"),
        ("ключ\n".encode(), "ключ"),
    ],
)
def test_a_file_comes_in_without_its_last_line_break(
    tmp_path: Path, content: bytes, value: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    assert in_yaml(f"${{file:{secret}}}", {}).servers["a"].args == [value]


def test_a_relative_file_starts_from_the_configuration_s_folder(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    path = tmp_path / "plugway.yaml"
    path.write_text('mcpServers: {a: {command: x, args: ["${file:token}"]}}')
    assert load(path, env={}).servers["a"].args == ["t"]


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refusal(f"${{file:{missing}}}").endswith(
        f"{missing} can't be read: No such file or directory"
    )


def test_a_file_that_is_a_directory_is_an_error(tmp_path: Path) -> None:
    assert "can't be read: Is a directory" in refusal(f"${{file:{tmp_path}}}")


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff\xfe")
    assert refusal(f"${{file:{secret}}}").endswith(f"{secret} is not UTF-8")


def test_a_huge_file_is_an_error(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert refusal(f"${{file:{secret}}}").endswith(f"has more than {MAX_FILE_BYTES} bytes")


def test_every_missing_variable_is_reported_together_with_everything_else() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(
            """
            mcpServers: {a: {command: "${A}", prot: 1}}
            gateway: {port: "${B}", path: x}
            """,
            env={},
        )
    assert [error.path for error in caught.value.errors] == [
        "mcpServers.a.command",
        "mcpServers.a.prot",
        "gateway.port",
        "gateway.path",
    ]
