"""The kinds of fault: a path is judged in one reading and served in another, and a path leads to another site."""

from __future__ import annotations

from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.kernel.http.own_path import own_path
from api.kernel.http.paths import is_normal, require_normal
from core.errors import InvalidArgument


@pytest.mark.parametrize(
    "raw",
    [
        *("", "x", "//", "//a", "/a//b", "/a/.", "/./a", "/a/..", "/../a", "/%2e", "/%2E%2E/a", "/a/%2e%2e", "/a\\b"),
        *("/a%5Cb", "/a%5cb", "/a%2Fb", "/a%2fb", "/a;b", "/a%3Bb", "/a%00", "/a%0A", "/a%7F", "/a%25b", "/a%252e"),
        *("/%61", "/%41", "/%7E", "/%2D", "/a%c3%a9", "/a%FF", "/a%C3", "/a%", "/a%4", "/a%zz", "/a b", "/a?b", "/a#b"),
        *("/a\x00", "/a\n", "/a\x7f", "/caf\xc3\xa9", "/a|b", '/a"b', "/a<b"),
    ],
)
def test_what_has_two_readings_is_not_normal(raw: str) -> None:
    assert not is_normal(raw.encode("latin-1"))


@pytest.mark.parametrize(
    "raw", ["/", "/a", "/a/", "/a.b/..c/...", "/a%20b", "/a%C3%A9", "/a%40b", "/a@b:c", "/a(1)'!$&*+,="]
)
def test_what_has_one_reading_is_normal(raw: str) -> None:
    assert is_normal(raw.encode())
    require_normal({"type": "http", "raw_path": raw.encode(), "path": unquote(raw)})


def test_what_was_decoded_must_be_what_was_sent() -> None:
    with pytest.raises(InvalidArgument):
        require_normal({"type": "http", "raw_path": b"/a/b", "path": "/a/c"})


@given(st.text(max_size=30).map(lambda text: f"/{text}"))
def test_every_reader_of_a_normal_path_reads_the_same(path: str) -> None:
    raw = quote(path, safe="/@:").encode()
    if is_normal(raw):
        assert urlsplit(urljoin("http://here.test/x/", raw.decode())).path == raw.decode()
        assert unquote(unquote(raw.decode())) == path
        assert "\\" not in path


ANYTHING = st.text(st.sampled_from("/\\.:@?#%;\t\n\r \x00aZ09-\u2028\uff0f\u3002\u00e9[]"), max_size=20)


@given(st.one_of(ANYTHING, ANYTHING.map(lambda text: f"/{text}"), st.text(max_size=20)))
def test_nothing_leads_to_another_site(wanted: str) -> None:
    found = own_path(wanted)
    # As browsers do before they read an address.
    seen = "".join(letter for letter in found if letter not in "\t\n\r").replace("\\", "/").strip()
    assert seen == found
    assert found.startswith("/")
    assert not found.startswith("//")
    assert found in (wanted, "/")
    assert urlsplit(urljoin("https://here.test/login", found)).netloc == "here.test"
    assert "//" not in found.partition("?")[0].partition("#")[0]
