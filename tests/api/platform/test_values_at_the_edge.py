"""Values at the edge of what can be kept: each kind is refused, or read, at one place.

The kinds: numbers beyond 64 bits, also where any JSON may stand; moments that are none in UTC; addresses that cannot be
read; tokens and cursors that were never issued; headers that are no numbers; filters that take long to parse.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.kernel.filtering import cel
from api.kernel.http.inputs import refuse_unstorable
from api.kernel.models import Timestamp, Url
from core.addresses import parse_address
from core.errors import InvalidArgument, InvalidPayload
from core.numbers import is_storable
from tests.api.admin.tenants import made, tenant
from tests.api.both_databases import on_both
from tests.api_process import Api

DOCUMENTS = st.recursive(
    st.one_of(st.integers(), st.integers().map(lambda n: n * 10**20), st.floats(), st.text(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
)


def fits(document: Any) -> bool:
    match document:
        case bool() | None | str():
            return True
        case int():
            return is_storable(document)
        case float():
            return document - document == 0
        case list():
            return all(map(fits, document))
        case _:
            return all(map(fits, document.values()))


@settings(deadline=None)
@given(DOCUMENTS)
def test_no_document_holds_a_number_that_cannot_be_kept(document: Any) -> None:
    raw = json.dumps(document).encode()
    if fits(document):
        refuse_unstorable(raw)
        return
    with pytest.raises(InvalidPayload) as refused:
        refuse_unstorable(raw)
    for error in refused.value.errors:
        found: Any = document
        for step in error["pointer"].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert not fits(found)


@settings(deadline=None)
@given(st.datetimes(timezones=st.timezones() | st.just(None)) | st.text(), st.text("+-0123456789:", max_size=6))
def test_a_time_is_a_moment_in_utc_or_refused(moment: Any, zone: str) -> None:
    text = f"{moment.isoformat() if not isinstance(moment, str) else moment}{zone}"
    try:
        found = TypeAdapter(Timestamp).validate_json(json.dumps(text))
    except ValidationError:
        return
    assert found.utcoffset() is not None
    assert not found.utcoffset()


@settings(deadline=None)
@given(
    st.text()
    | st.builds(
        "{}://{}{}{}{}".format,
        st.sampled_from(["http", "https", "ftp", "", "//"]),
        st.sampled_from(["", "u@", "u:p@", "@"]),
        st.text(max_size=70) | st.sampled_from(["[::1]", "[::1", "::1]", "[v1.a]", "a" * 64, "127.0.0.1", "xn--a"]),
        st.sampled_from(["", ":", ":0", ":99999", ":x", ":-1", ":80:80"]),
        st.text(max_size=5),
    )
)
def test_an_address_can_be_split_and_looked_up_or_is_refused(url: str) -> None:
    try:
        TypeAdapter(Url).validate_python(url)
    except ValidationError:
        return
    parts = parse_address(url)
    assert parts.hostname
    assert parts.port is None or 0 < parts.port < 65536
    if ":" not in parts.hostname:
        assert len(parts.hostname.encode("idna")) < 2000


@pytest.mark.parametrize(
    "text",
    [
        *("name == " + "-" * 1490, "a" + " + a" * 490, "a" + ".b" * 900, "f(" + "1," * 900 + "1)", "a" + "[1]" * 600),
        *("a" + "?a:a" * 400, "! " * 900 + "a", "{" + "a:1," * 400 + "a:1}", "a" + "==a" * 600),
    ],
)
def test_a_filter_is_measured_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The kind: an expression within the limit of characters that takes the parser long."""

    def never(text: str) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(cel, "_tree", never)
    with pytest.raises(cel.Fault) as refused:
        cel.syntax(text)
    assert str(cel.MAX_TOKENS) in refused.value.detail


def test_a_filter_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    tree = cel._tree
    monkeypatch.setattr(cel, "_tree", lambda text: parsed.append(text) or tree(text))
    text = " || ".join(f'name == "unlike any other {n}"' for n in range(20))
    cel.prepare(text)
    assert cel.syntax(text) is cel.syntax(text)
    for _ in range(2):
        with pytest.raises(cel.Fault):
            cel.syntax("name == == unlike")
    assert len(parsed) == 2


async def test_a_long_filter_is_parsed_beside_the_event_loop(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a list is kept in memory, and so filtered on the loop."""
    import threading

    threads: list[str] = []
    read = cel._read
    monkeypatch.setattr(cel, "_read", lambda text: threads.append(threading.current_thread().name) or read(text))
    cel._parsed.cache_clear()  # the same text was read on the other database
    long = " || ".join(f'group == "beside {n}"' for n in range(30))
    reply = await api.admin.get("ai-catalog/assets", params={"filter": long})
    assert (reply.status, len(threads)) == (200, 1), reply.response.text
    assert threads != [threading.current_thread().name]


HEADERS = {
    "if-match": ['"' * 500, "\u00e9", "*,*", "9" * 5000],
    "idempotency-key": ["\u00e9", "9" * 128, "x" * 129],
    "traceparent": ["00-" + "0" * 32 + "-" + "0" * 16 + "-00", "ff-x", "9" * 5000, "\u00e9"],
    "last-event-id": ["9" * 19, "9" * 5000, "\u00b2", "-1", "1.0", "e30", "W10", "\u00e9"],
    "range": ["bytes=9-1", f"bytes={'9' * 5000}-"],
    "accept": ["*/*;q=nan", "x;q=1e999", ";;;,,,", "application/json;q=-1"],
    "origin": ["http://[::1", "http://a:99999", "\u00e9"],
    "content-length": ["\u00b2"],
    "x-request-id": ["\u00e9", "x" * 5000],
    "cookie": ["headwater_8000=\u00e9", "headwater_8000_oidc=v1.x.\u00e9"],
    "authorization": ["Bearer \u00e9", f"Bearer {'x' * 5000}", "Bearer x\u00e9.y.z"],
}


@pytest.mark.parametrize("name", HEADERS)
async def test_no_header_breaks_a_request(api: Api, name: str) -> None:
    """On each sort of operation that looks at headers: a read, a change, a stream of rows, a watch, a mount."""
    one = await tenant(api, "one")
    for value in HEADERS[name]:
        headers = {name: value.encode()}
        for method, path, body in (
            ("GET", "admin/groups", None),
            ("GET", f"admin/projects/{one.project}", None),
            ("PATCH", f"admin/projects/{one.project}", {"labels": {}}),
            ("POST", "admin/decisions:check", {"permission": "admin.project.get"}),
            ("GET", "ai-catalog/assets/flights.silver.flights/preview", None),
            ("POST", "/access/v1/evaluation", {}),
            ("GET", "/scim/v2/Users", None),
        ):
            options = {} if body is None else {"json": body}
            url = path if path.startswith("/") else f"/api/v1/{path}"
            response = await api.admin.http.request(method, url, headers=headers, **options)
            assert response.status_code < 500, (method, path, value, response.text)


@on_both
@pytest.mark.parametrize("value", ["9" * 30, "9" * 5000, "-" + "9" * 30, "1e999", "\u0663", "", "x"])
async def test_the_numbers_of_scim_are_bounded(api: Api, value: str) -> None:
    for name in ("startIndex", "count"):
        reply = await api.admin.http.get("/scim/v2/Users", params={name: value})
        assert reply.status_code < 500, reply.text
        if value.lstrip("-").isascii() and value.lstrip("-").isdigit():
            body = json.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]})[:-1]
            content = f'{body}, "{name}": {value}}}'
            headers = {"content-type": "application/scim+json"}
            reply = await api.admin.http.post("/scim/v2/Users/.search", content=content, headers=headers)
            assert reply.status_code < 500, reply.text
    for filter in ('meta.created gt "0001-01-01T00:00:00+23:59"', 'meta.created lt "9999-12-31T23:59:59-23:59"'):
        reply = await api.admin.http.get("/scim/v2/Users", params={"filter": filter})
        assert reply.status_code == 200, reply.text
        assert reply.json()["totalResults"] > 0


@pytest.mark.parametrize("url", ["http://[::1", "https://example.org:99999/", f"https://{'a' * 64}.org/"])
async def test_addresses_in_resources_say_where_they_are_wrong(api: Api, url: str) -> None:
    spec = {"title": "x", "issuer": url, "client_id": "x"}
    for path, body, pointer in (
        ("webhook-endpoints", {"name": "x", "spec": {"url": url}}, "/spec/url"),
        ("identity-providers", {"name": "x", "spec": spec}, "/spec/issuer"),
    ):
        reply = await api.admin.post(f"admin/{path}", body)
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, pointer)


@on_both
async def test_a_stored_address_that_cannot_be_read_is_no_fault_of_the_sender(api: Api) -> None:
    """As an earlier release took it."""
    from api.kernel.outbox.tables import WEBHOOK_ENDPOINT

    body = {"name": "x", "spec": {"url": "https://hooks.example.org/"}}
    id = (await made(api.admin.post("admin/webhook-endpoints", body)))["id"]
    with api.database.write() as connection:
        connection.execute(WEBHOOK_ENDPOINT.update().values(url="http://[::1"))
    tried = await made(api.admin.post(f"admin/webhook-endpoints/{id}:test", {}))
    assert "is not valid" in tried["problem"]


def test_the_limits_are_those_of_the_databases() -> None:
    assert is_storable(2**63 - 1)
    assert not is_storable(2**63)
    assert is_storable(-(2**63))
    with pytest.raises(InvalidArgument):
        cel.syntax("x" * 2001)


@pytest.mark.parametrize("value", ["9" * 19, "9" * 5000, "\u00b2", "-1", "1.0", "e30", "W10", "\u00e9"])
async def test_a_stream_goes_on_after_a_number_that_it_gave_out(api: Api, value: str) -> None:
    reply = await api.admin.get("admin/groups:watch", headers={"last-event-id": value.encode()})
    assert (reply.status, reply.reason) == (400, "INVALID_ARGUMENT")
