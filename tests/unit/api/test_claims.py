"""From claims to an identity here."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.admin.logic.claims import Rules, identity_of
from api.services.admin.logic.openid import Challenge, Discovery, authorization_url, issuer_of
from core.errors import Unauthenticated

RULES = Rules("groups", {"a": "grp_a", "b": "grp_b"}, "realm_access.roles", {"chief": "rol_admin"})


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "Ada"}, "ada"),
        ({"preferred_username": "Ada Lovelace", "email": "ada@example.org"}, "ada@example.org"),
        ({"preferred_username": "Ada Lovelace"}, "ada-lovelace"),
        ({"email": "Ada@Example.org"}, "ada@example.org"),
        ({"sub": "00u1AB"}, "user-00u1ab"),
        ({"preferred_username": "ada\u202egnp"}, "s"),
        ({"preferred_username": ["ada"]}, "s"),
    ],
)
def test_a_login_name_is_made_of_what_is_claimed(claims: dict[str, Any], name: str) -> None:
    assert identity_of(RULES, {"sub": "s", **claims}).name == name


def test_only_mapped_values_count_wherever_the_claim_stands() -> None:
    claims = {"sub": "s", "groups": ["b", "x", "a", "b", 1], "realm_access": {"roles": ["chief"]}}
    found = identity_of(RULES, claims)
    assert (found.groups, found.roles) == (("grp_b", "grp_a"), ("rol_admin",))
    for groups in (None, {"a": 1}, 5, [["a"]]):
        assert identity_of(RULES, {"sub": "s", "groups": groups}).groups == ()
    assert identity_of(RULES, {"sub": "s", "groups": "a"}).groups == ("grp_a",)
    assert identity_of(RULES, {"sub": "s", "realm_access": "chief"}).roles == ()


@pytest.mark.parametrize(
    ("claims", "let_in"),
    [
        ({"email": "ada@example.org"}, True),
        ({"email": "ada@EXAMPLE.org", "email_verified": True}, True),
        ({"email": "ada@example.org", "email_verified": False}, False),
        ({"email": "ada@sub.example.org"}, False),
        ({"email": "ada@example.org@evil.test"}, False),
        ({"email": "example.org"}, False),
        ({}, False),
    ],
)
def test_only_addresses_of_the_domains_are_let_in(claims: dict[str, Any], let_in: bool) -> None:
    rules = Rules("groups", {}, "roles", {}, ["Example.org"])
    assert (identity_of(rules, {"sub": "s", **claims}).refused is None) is let_in


@pytest.mark.parametrize("subject", [None, "", 5, "s" * 257])
def test_nobody_without_a_subject_is_let_in(subject: Any) -> None:
    assert identity_of(RULES, {"sub": subject}).refused is not None


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.e30.c", "a.bnVsbA.c", "a.W10.c", "a.\u00e9.c"])
def test_what_is_no_id_token_names_no_issuer(token: str) -> None:
    with pytest.raises(Unauthenticated):
        issuer_of(token)


def test_the_challenge_is_the_hash_of_the_verifier() -> None:
    # The pair of RFC 7636, appendix B.
    challenge = Challenge("state", "nonce", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    discovery = Discovery("https://i", "https://i/authorize?tenant=1", "https://i/token", "https://i/jwks")
    url = authorization_url(discovery, "c", ["email"], challenge, "https://here/callback")
    assert url.startswith("https://i/authorize?tenant=1&response_type=code")
    assert "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" in url
    assert "scope=openid+email" in url
