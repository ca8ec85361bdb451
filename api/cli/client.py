"""The client of the REST API for the command line."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import clock, errors
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    import httpx

ARROW_STREAM = "application/vnd.apache.arrow.stream"

_TOKEN_DAYS = 30
_MIN_REMAINING = timedelta(minutes=10)
_BY_REASON = {
    cls("").reason: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, errors.HeadwaterError)
}


class Client:
    """A client of the platform at `HEADWATER_URL`, or by default of the platform in `HEADWATER_HOME`."""

    def __init__(self, settings: Settings | None = None) -> None:
        import httpx

        self.settings = settings or load_settings()
        scheme = "https" if self.settings.tls_certfile else "http"
        self.url = self.settings.url or f"{scheme}://{self.settings.host}:{self.settings.port}"
        # The certificate of a local platform may be self-signed. The certificate of a remote platform is verified.
        self._http = httpx.Client(
            base_url=f"{self.url.rstrip('/')}/api/v1/",
            timeout=60,
            headers={"authorization": f"Bearer {self.settings.token or stored_token(self.settings)}"},
            verify=not (scheme == "https" and not self.settings.url),
        )

    def get(self, path: str, **query: Any) -> Any:
        """Sends GET `/api/v1/<path>` and returns the JSON of the response."""
        return _json(self._call("GET", path, params={k: v for k, v in query.items() if v is not None}))

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Sends POST `/api/v1/<path>` with a JSON body and returns the JSON of the response."""
        return _json(self._call("POST", path, json={} if body is None else body, headers=headers))

    def patch(self, path: str, body: Any) -> Any:
        """Sends PATCH `/api/v1/<path>` with a JSON merge patch and returns the JSON of the response."""
        headers = {"content-type": "application/merge-patch+json"}
        return _json(self._call("PATCH", path, json=body, headers=headers))

    def delete(self, path: str) -> None:
        """Sends DELETE `/api/v1/<path>`."""
        self._call("DELETE", path)

    def arrow(self, path: str, body: Any) -> Any:
        """Sends POST `/api/v1/<path>` with a JSON body and returns the response as an Arrow table."""
        import pyarrow as pa

        response = self._call("POST", path, json=body, headers={"accept": ARROW_STREAM})
        return pa.ipc.open_stream(response.content).read_all()

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yields all items of a list, page by page."""
        token = None
        while True:
            page = self.get(path, page_token=token, **query)
            yield from page["items"]
            token = page.get("next_page_token")
            if not token:
                return

    def events(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields the type and data of each server-sent event of `/api/v1/<path>`."""
        import httpx

        kind = ""
        try:
            with self._http.stream("GET", path, timeout=None) as response:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                for line in response.iter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield kind, json.loads(line.removeprefix("data: "))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        import httpx

        try:
            response = self._http.request(method, path, **kwargs)
            if response.status_code == 401 and not self.settings.token:
                # The stored token was revoked, or the database was replaced.
                self._http.headers["authorization"] = f"Bearer {stored_token(self.settings, renew=True)}"
                response = self._http.request(method, path, **kwargs)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_success:
            return response
        raise _problem(response)

    def _unreachable(self, error: Exception) -> errors.Unavailable:
        return errors.Unavailable(
            f"{self.url} does not respond ({type(error).__name__}). Check it with `headwater status`."
        )


def stored_token(settings: Settings, *, renew: bool = False) -> str:
    """Returns the bearer token that all commands of a home share. Issues one if there is none, or if it expires soon.

    Args:
        settings: the settings of the home.
        renew: whether to issue another token in any case.

    Raises:
        Unavailable: the platform of this home was never started.
    """
    path = settings.keys_dir / "command-line.json"
    if not renew:
        with suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(path.read_text())
            if datetime.fromisoformat(stored["expires_at"]) > clock.now() + _MIN_REMAINING:
                return str(stored["token"])
    expires_at = clock.now() + timedelta(days=_TOKEN_DAYS)
    secret = issue_token(settings, hours=24.0 * _TOKEN_DAYS)
    _write_private(path, json.dumps({"token": secret, "expires_at": expires_at.isoformat()}))
    return secret


def issue_token(settings: Settings, label: str = "command line", hours: float = 1.0) -> str:
    """Issues a bearer token of the first admin. The permission to write to the database of the home is sufficient.

    Raises:
        Unavailable: the platform of this home was never started.
    """
    from api.kernel.credentials.tokens import issue_token as issue
    from core.db import Database

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        raise errors.Unavailable(f"No platform was started in {settings.home} yet. Run `make up` first.")
    database = Database(settings.effective_database_url)
    try:
        return issue(database, "admin", label=label, expires=clock.now() + timedelta(hours=hours))
    finally:
        database.close()


def _write_private(path: Path, text: str) -> None:
    """Atomically writes a file that only its owner can read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # has mode 0600
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)


def _json(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def _problem(response: httpx.Response) -> errors.HeadwaterError:
    try:
        body = response.json()
        detail, reason = body.get("detail") or body.get("title") or "", body.get("reason", "")
    except ValueError:
        body, detail, reason = {}, response.text[:300], ""
    cls = _BY_REASON.get(reason, errors.HeadwaterError)
    return cls(detail or f"The platform responded with {response.status_code}.", errors=body.get("errors") or ())
