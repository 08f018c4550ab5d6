import pytest

from plugway_builtin_plugins.fields import Field
from plugway_builtin_plugins.parts import Path


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("path", ("path",)),
        ("path", ("path", 0, "x")),
        ("content[0].text", ("content", 0, "text")),
        ("content[*].text", ("content", 7, "text")),
        ("a.*.c", ("a", "b", "c")),
        ("a.*", ("a", 3)),
        ("**.phone", ("phone",)),
        ("**.phone", ("a", 0, "b", "phone")),
        ("a.**.z", ("a", "z")),
        ("a.**", ("a",)),
        ("**.b.**.d", ("a", "b", "b", "c", "d")),
        ("x.phone*", ("x", "phone_home")),
        ("x.?", ("x", "y")),
        (r"a\.b.c", ("a.b", "c")),
        (r"a\*", ("a*",)),
        ("[0].a", (0, "a")),
        ("größe.名前", ("größe", "名前")),
    ],
)
def test_a_field_covers_its_place_and_what_is_below(source: str, path: Path) -> None:
    assert Field(source).covers(path)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("path", ("other",)),
        ("path", ("x", "path")),
        ("path", ()),
        ("a.b", ("a",)),
        ("content[0].text", ("content", 1, "text")),
        ("content[*].text", ("content", "text")),
        ("a[0]", ("a", "0")),
        ("**.phone", ("phones",)),
        ("x.phone?", ("x", "phone_home")),
        (r"a\*", ("ab",)),
    ],
)
def test_a_field_covers_nothing_else(source: str, path: Path) -> None:
    assert not Field(source).covers(path)


def test_many_deep_steps_do_not_take_exponential_time() -> None:
    assert not Field(".".join(["**", "a"] * 30)).covers(("a",) * 29)


@pytest.mark.parametrize("source", ["", ".", "a..b", "a.", "a[", "a[x]", "a]b", "a.[0]"])
def test_what_is_no_field_is_refused_with_an_example(source: str) -> None:
    with pytest.raises(ValueError, match=r"can't be read .*: write a"):
        Field(source)
