import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugway_builtin_plugins.globs import compile_globs, escape
from plugway_builtin_plugins.patterns import Pattern, PatternError
from plugway_hookspecs import spellings


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("*__delete_*", "crm__delete_user"),
        ("*__delete_*", "CRM__Delete_User"),
        ("/etc/**", "/etc/passwd"),
        ("/etc/**", "/etc/ssh/keys/a"),
        ("/etc/**", "/etc"),
        ("**/.ssh/**", ".ssh/id_rsa"),
        ("**/.ssh/**", "/home/a/.ssh"),
        ("*.pem", "/a/b/c.pem"),
        ("[ab]?", "bx"),
        ("[!ab]", "c"),
        ("a+b(c)", "a+b(c)"),
        ("*", "two\nlines"),
        ("**", ""),
        ("[", "["),
        ("[]x]", "]"),
        ("[a^]b", "^b"),
    ],
)
def test_a_glob_matches(glob: str, text: str) -> None:
    assert compile_globs([glob]).fullmatch(text)


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("/etc/**", "/etcetera"),
        ("/etc/**", "/home/etc/x"),
        ("**/.ssh/**", "/home/a.ssh/x"),
        ("[!ab]", "a"),
        ("a?", "a"),
        ("a.b", "axb"),
    ],
)
def test_a_glob_matches_nothing_else(glob: str, text: str) -> None:
    assert not compile_globs([glob]).fullmatch(text)


def test_one_of_several_globs_is_enough() -> None:
    assert compile_globs(["a", "b*"]).fullmatch("bcd")


def test_an_empty_glob_is_refused() -> None:
    with pytest.raises(PatternError, match="matches nothing"):
        compile_globs([""])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_escaped_text_matches_itself(text: str) -> None:
    assert Pattern("(?s)" + escape(text)).fullmatch(text)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc//passwd",
        "//etc/passwd",
        "/etc/./passwd",
        "/tmp/../etc/passwd",
        "/%65tc/passwd",
        "/tmp/%2e%2e/etc/passwd",
        "\\etc\\passwd",
    ],
)
def test_paths_are_recognised_in_any_spelling(path: str) -> None:
    assert "/etc/passwd" in spellings(path)


def test_uris_keep_their_scheme() -> None:
    assert "file:///etc/passwd" in spellings("file:///tmp/../etc//passwd")
    assert spellings("plain") == {"plain"}
