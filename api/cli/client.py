"""The command line's connection to the platform's REST API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx

from core import clock, errors
from core.db import Database
from core.settings import Settings, load_settings

_BY_REASON = {
    cls("").reason: cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, errors.HeadwaterError)
}


class Client:
    """Speaks to the platform named by `HEADWATER_URL`, or to the one of `HEADWATER_HOME`."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        scheme = "https" if self.settings.tls_certfile else "http"
        self.url = self.settings.url or f"{scheme}://{self.settings.host}:{self.settings.port}"
        # A home's own certificate may be self-signed; a remote platform's must verify.
        self._http = httpx.Client(
            base_url=self.url,
            timeout=60,
            headers={"authorization": f"Bearer {self.settings.token or issue_token(self.settings)}"},
            verify=not (scheme == "https" and not self.settings.url),
        )

    def get(self, path: str, **query: Any) -> Any:
        """GETs `/api/v1/<path>` and returns its JSON."""
        return self._call("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """POSTs JSON to `/api/v1/<path>` and returns the JSON of the answer."""
        return self._call("POST", path, json={} if body is None else body, headers=headers)

    def put(self, path: str, body: Any) -> Any:
        """PATCHes `/api/v1/<path>` by JSON merge-patch."""
        return self._call("PATCH", path, json=body, headers={"content-type": "application/merge-patch+json"})

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yields every item of a list, page by page."""
        token = None
        while True:
            page = self.get(path, page_token=token, **query)
            yield from page["items"]
            token = page.get("next_page_token")
            if not token:
                return

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            response = self._http.request(method, f"/api/v1/{path}", **kwargs)
        except httpx.TransportError as error:
            raise errors.Unavailable(
                f"No answer from {self.url} ({type(error).__name__}). Is the platform up? Try `headwater status`."
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        raise _problem(response)


def issue_token(settings: Settings, label: str = "command line", hours: float = 1.0) -> str:
    """A bearer token of the home's first admin. Whoever may write the home's database may have one.

    Raises:
        Unavailable: the platform of this home was never started.
    """
    from api.kernel.credentials.tokens import issue_token as issue

    if not settings.database_url and not (settings.home / "metadata.db").exists():
        raise errors.Unavailable(f"No platform was ever started in {settings.home}. Run `make up` first.")
    database = Database(settings.effective_database_url)
    try:
        return issue(database, "admin", label=label, expires=clock.now() + timedelta(hours=hours))
    finally:
        database.close()


def _problem(response: httpx.Response) -> errors.HeadwaterError:
    try:
        body = response.json()
        detail, reason = body.get("detail") or body.get("title") or "", body.get("reason", "")
    except ValueError:
        body, detail, reason = {}, response.text[:300], ""
    cls = _BY_REASON.get(reason, errors.HeadwaterError)
    return cls(detail or f"The platform answered {response.status_code}.", errors=body.get("errors") or ())
