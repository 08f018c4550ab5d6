"""What is taken for a secret, and where it is found in a server's entry."""

from typing import Any

import pytest

from plugway.cli.importing.hiding import Vault, hide
from plugway.cli.importing.secrets import is_secret


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "x"),
        ("apiKey", "abc"),
        ("X-API-Key", "abc"),
        ("OPENAI_APIKEY", "abc"),
        ("DB_PASSWORD", "1234"),
        ("Authorization", "abc"),
        ("ANYTHING", "ghp_0123456789abcdef"),
        ("ANYTHING", "sk-proj-0123456789"),
        ("ANYTHING", "postgres://user:pass@host/db"),
        ("ANYTHING", "9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
        ("ANYTHING", "-----BEGIN PRIVATE KEY-----\nabc"),
    ],
)
def test_what_looks_like_a_secret_is_one(name: str, value: str) -> None:
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", ""),
        ("GITHUB_TOKEN", "${GITHUB_TOKEN}"),
        ("AUTHOR", "Ada"),
        ("MONKEY", "Coco"),
        ("LOG_LEVEL", "debug"),
        ("AUTH_URL", "https://auth.example/login"),
        ("KEY_FILE", "/etc/keys/server.pem"),
        ("USE_TOKEN", "true"),
        ("NODE_ENV", "production"),
        ("ANYTHING", "a-long-name-made-of-words-only"),
        ("MAX_TOKENS", "4096"),
    ],
)
def test_what_is_none_stays_readable(name: str, value: str) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize(
    ("argument", "hidden"),
    [
        (["--api-key", "abc"], ["--api-key", "${S_API_KEY}"]),
        (["--token=abc"], ["--token=${S_TOKEN}"]),
        (
            ["--header", "Authorization: Bearer abc"],
            ["--header", "Authorization: Bearer ${S_TOKEN}"],
        ),
        (["-e", "API_KEY=abc"], ["-e", "API_KEY=${S_API_KEY}"]),
        (["postgresql://u:p@host/db"], ["postgresql://${S_TOKEN}@host/db"]),
        (["https://x.example/s/0a1b2c3d4e5f6a7b8c9d/mcp"], ["https://x.example/s/${S_TOKEN}/mcp"]),
        (["--token", "--verbose"], ["--token", "--verbose"]),
        (
            ["-y", "@scope/server-2024", "/data/my-files"],
            ["-y", "@scope/server-2024", "/data/my-files"],
        ),
        ([7], [7]),
    ],
)
def test_secrets_are_found_in_arguments(argument: list[Any], hidden: list[Any]) -> None:
    assert hide("s", {"command": "x", "args": argument}, Vault())["args"] == hidden


def test_what_is_not_secret_is_left_exactly_as_it_was() -> None:
    entry = {"command": "x", "args": ["a"], "env": {"A": "b"}, "timeout": "5s", "prefix": ""}
    vault = Vault()
    assert hide("s", entry, vault) == entry
    assert vault.variables == []


def test_a_vault_never_shows_a_value() -> None:
    vault = Vault()
    vault.reference("KEY", "the-secret", "s", "env.KEY")
    assert "the-secret" not in repr(vault)
