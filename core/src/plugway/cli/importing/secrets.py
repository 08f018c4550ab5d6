"""Tell what looks like a secret.

A wrong guess costs the user one variable to set; a missed one a secret in a file that may be
committed. So in doubt it is a secret.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

_WORDS = re.compile(
    r"(?:^|_)(?:(?:api|access|secret|private)?_?keys?|tokens?|secrets?|pass(?:word|wd|phrase)?|pwd"
    r"|pat|credentials?|auth(?:orization)?|bearer|cookie|dsn|connection_string)(?:_|$)"
)
_PREFIXES = re.compile(
    r"(?:[spr]k[-_]|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AKIA|ASIA|AIza|ya29\.|eyJ|npm_|hf_"
    r"|sbp_|dop_v1_|SG\.|shpat_|secret_|ntn_|lin_api_|pypi-|-----BEGIN).{8}",
    re.DOTALL,
)
_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9+/]{16,}")
_PASSWORD = re.compile(r"pass|pwd|pin", re.IGNORECASE)
_PATH = re.compile(r"(~|\.{0,2})[/\\]|[A-Za-z]:\\")

USERINFO = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]+(?=@)")
"""The user and password of an address."""


def is_secret(name: str, value: str) -> bool:
    """Whether a value, under a name that may be empty, should not stand in a file."""
    if not value or "${" in value or value.lower() in {"true", "false"}:
        return False
    if has_known_form(value) or USERINFO.search(value):
        return True
    if _is_harmless_address(value) or (value.isdigit() and not _PASSWORD.search(name)):
        return False
    return is_secret_name(name) or any(map(_RANDOM.fullmatch, re.split(r"[-_.=]", value)))


def is_secret_name(name: str) -> bool:
    """Whether a variable, a header or a flag is one that secrets have."""
    return _WORDS.search(snake(name)) is not None


def has_known_form(value: str) -> bool:
    """Whether a value begins as the tokens of a well-known service do."""
    return _PREFIXES.match(value) is not None


def snake(name: str) -> str:
    """Return `api_key` for `apiKey`, `API-Key` and the like."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()


def _is_harmless_address(value: str) -> bool:
    if "://" in value:
        parts = urlsplit(value)
        return not (parts.query or parts.fragment)
    if _PATH.match(value):
        return bool(re.search(r"\.\w{1,5}$", value)) or Path(value).expanduser().exists()
    return False
