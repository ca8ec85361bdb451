"""Other systems trust signed tokens by what they find at the issuer, with the clients that they use for it."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc.jwk import KeySet

from tests.api.admin.signed_tokens import ACCESS_TOKEN, EXCHANGE, JWT, LAKE
from tests.api_server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("home")) as started:
        admin = {"authorization": f"Bearer {started.tokens['admin']}"}
        url = f"{started.url}/api/v1/admin/settings/platform"
        httpx.patch(url, json={"token_audiences": [LAKE]}, headers=admin).raise_for_status()
        yield started


def discovered(server: Server) -> dict[str, Any]:
    """What a client learns that knows the issuer only."""
    return dict(httpx.get(get_well_known_url(server.url, external=True)).raise_for_status().json())


def token(server: Server) -> str:
    form = {"grant_type": EXCHANGE, "subject_token": server.tokens["viewer"], "subject_token_type": ACCESS_TOKEN}
    form |= {"requested_token_type": JWT, "audience": LAKE}
    answer = httpx.post(discovered(server)["token_endpoint"], data=form).raise_for_status()
    return str(answer.json()["access_token"])


def test_pyjwt_verifies_by_the_published_keys(server: Server) -> None:
    client = jwt.PyJWKClient(discovered(server)["jwks_uri"])
    text = token(server)
    key = client.get_signing_key_from_jwt(text)
    required = ["exp", "iat", "iss", "aud", "sub", "jti"]

    def verified(audience: str, issuer: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {"options": {"require": required}, "audience": audience, "issuer": issuer}
        return dict(jwt.decode(text, key, algorithms=["RS256"], **arguments))

    assert verified(LAKE, server.url)["client_id"] == "headwater"
    with pytest.raises(jwt.InvalidAudienceError):
        verified("https://other.example.org", server.url)
    with pytest.raises(jwt.InvalidIssuerError):
        verified(LAKE, "https://other.example.org")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(text[:-8] + "AAAAAAAA", key, algorithms=["RS256"], audience=LAKE)


def test_authlib_takes_it_for_an_access_token_of_rfc_9068(server: Server) -> None:
    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]
        def get_jwks(self) -> Any:
            return KeySet.import_key_set(httpx.get(discovered(server)["jwks_uri"]).json())

    text = token(server)
    guard = Validator(server.url, LAKE)
    claims = guard.authenticate_token(text)
    guard.validate_token(claims, [], None)
    assert claims["organization_id"] == "org_default"
    other = Validator(server.url, "https://other.example.org")
    with pytest.raises(InvalidTokenError):
        other.validate_token(other.authenticate_token(text), [], None)


def test_a_verifier_that_keeps_the_keys_survives_a_rotation(server: Server) -> None:
    """The next key was in the set that was fetched before, so no verifier has to be told of the rotation."""
    client = jwt.PyJWKClient(discovered(server)["jwks_uri"], lifespan=3600)
    first = token(server)
    client.get_signing_key_from_jwt(first)
    requests = []
    client.fetch_data = lambda: requests.append(1)  # type: ignore[method-assign]
    rotate(server)
    second = token(server)
    kids = [jwt.get_unverified_header(text)["kid"] for text in (first, second)]
    assert kids[0] != kids[1]
    for text in (first, second):
        key = client.get_signing_key_from_jwt(text)
        assert jwt.decode(text, key, algorithms=["RS256"], audience=LAKE)["sub"]
    assert requests == []


def test_the_how_to_page_holds(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "trust-the-platform.md").read_text()
    with Server(tmp_path) as server:
        shell, python, *requests = (
            *re.findall(r"```sh\n(curl .*?)```", page, re.DOTALL),
            *re.findall(r"```python\n(.*?)```", page, re.DOTALL),
            *re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", page, re.DOTALL),
        )
        admin = {"authorization": f"Bearer {server.tokens['admin']}", "content-type": "application/json"}
        declare, look, rotate_now = [
            functools.partial(httpx.request, method, f"{server.url}{path}", content=body, headers=admin)
            for method, path, body in requests
        ]
        declare().raise_for_status()
        address = "https://headwater.example.org"
        environment = {"TOKEN": str(server.tokens["viewer"]), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            ["sh", "-c", shell.replace(address, server.url)], env=environment, capture_output=True, check=True
        )
        names: dict[str, Any] = {}
        exec(compile(python.replace(address, server.url), "page", "exec"), names)
        claims = names["caller"](json.loads(done.stdout)["access_token"])
        rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        assert set(claims) | {"scope"} == set(re.findall(r"`(\w+)`", " ".join(rows)))
        assert {key["state"] for key in look().json()["items"]} == {"CURRENT", "NEXT"}
        age_the_next_key(server)
        assert rotate_now().json()["state"] == "CURRENT"


def rotate(server: Server) -> None:
    """Rotates, as if the next key had been published for long enough."""
    age_the_next_key(server)
    admin = {"authorization": f"Bearer {server.tokens['admin']}"}
    httpx.post(f"{server.url}/api/v1/admin/signing-keys:rotate", json={}, headers=admin).raise_for_status()


def age_the_next_key(server: Server) -> None:
    with server.api.database.write() as connection:
        text = "UPDATE signing_key SET created_at = '2026-01-01 00:00:00' WHERE state = 'NEXT'"
        connection.exec_driver_sql(text)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("oauth-authorization-server", AuthorizationServerMetadata),
        ("openid-configuration", OpenIDProviderMetadata),
    ],
)
def test_authlib_finds_the_documents_complete(server: Server, path: str, document: Any) -> None:
    found = httpx.get(f"{server.url}/.well-known/{path}").raise_for_status().json()
    # Authlib demands https, which this server does not speak.
    read = document({name: _secure(value) for name, value in found.items()})
    # The platform is no login for other systems, so there are no response types. Authlib takes an empty list for none.
    assert found["response_types_supported"] == []
    for field in set(document.REGISTRY_KEYS) - {"response_types_supported"}:
        getattr(read, f"validate_{field}")()
    unknown = set(found) - {*AuthorizationServerMetadata.REGISTRY_KEYS, *OpenIDProviderMetadata.REGISTRY_KEYS}
    assert unknown == {"userinfo_endpoint"}


def _secure(value: Any) -> Any:
    return value.replace("http://", "https://") if isinstance(value, str) else value
