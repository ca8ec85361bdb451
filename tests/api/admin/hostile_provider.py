"""An OpenID Connect provider that says whatever a test wants it to say, and keeps what it is sent."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from core import clock

CLIENT = "headwater"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "two"})


@dataclass
class Hostile:
    """The provider. `document` and `claims` replace what it says of itself and of people; None leaves a field out."""

    issuer: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    keys: list[RSAKey] = field(default_factory=lambda: [KEY])
    codes: list[str] = field(default_factory=list)
    """Codes that it was asked to redeem."""

    sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
    nonce: str = ""

    def described(self) -> dict[str, Any]:
        """What it says of itself."""
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return {name: value for name, value in (document | self.document).items() if value is not None}

    def token(self) -> str:
        """An id token."""
        now = int(clock.now().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "s-eve", "iat": now, "exp": now + 300, "nonce": self.nonce}
        claims_sent = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return self.sign(claims_sent)

    def answer(self, location: str, code: str = "the-code", **extra: str) -> str:
        """Path and query of where it sends a browser that came to it with this address."""
        asked = httpx.URL(location).params
        self.nonce = asked["nonce"]
        return f"{urlsplit(asked['redirect_uri']).path}?{urlencode({'code': code, 'state': asked['state']} | extra)}"


@contextmanager
def hostile_provider() -> Iterator[Hostile]:
    """Starts it on loopback."""
    provider = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {"keys": [key.as_dict(private=False) for key in provider.keys]}
            self._say(keys if self.path == "/keys" else provider.described())

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            provider.codes.extend(form["code"])
            self._say({"id_token": provider.token(), "access_token": "a", "token_type": "Bearer"})

        def _say(self, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()


def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
    """A token that says which algorithm signed it, and was signed by none."""
    parts = ({"alg": alg, "kid": "one"}, claims)
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{'.'.join(texts)}."
