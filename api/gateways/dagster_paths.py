"""The list of paths of Dagster's webserver that the platform forwards.

A requested path is matched against this list, and the forwarded path is generated from it. All pages of the UI are one
file, so their addresses are not forwarded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from api.gateways.dagster_rights import REPORTS
from core.errors import InvalidArgument, MethodNotAllowed, NotFound

PATH = "/dagster"


class Endpoint(StrEnum):
    """Type of the endpoint at a path."""

    PAGE = "PAGE"
    FILE = "FILE"
    GRAPHQL = "GRAPHQL"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class Target:
    """A request to forward to Dagster."""

    endpoint: Endpoint
    path: str
    """Path below the root of Dagster's webserver."""


_NAME = r"[A-Za-z0-9_~][A-Za-z0-9_.~&+@-]*"
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_FILES = re.compile(
    r"(?:server_info|dagit_info|manifest\.json|robots\.txt|Dagster_world\.mp4|favicon[a-z-]*\.(?:ico|png|svg)"
    rf"|_next/static/(?:{_NAME}/)*{_NAME}|vendor/(?:{_NAME}/)*{_NAME}"
    rf"|logs/(?:{_KEY}/)+(?:out|err)|download_debug/[A-Za-z0-9-]+)"
)
_REPORTS = re.compile(rf"(?:{'|'.join(REPORTS)})/{_KEY}(?:/{_KEY})*")
_GRAPHQL = "graphql"
_TAKEN = frozenset(
    {*REPORTS, _GRAPHQL, "server_info", "dagit_info", "dagit", "logs", "notebook", "download_debug"}
    | {"_next", "vendor", "manifest.json", "robots.txt", "dagster_world.mp4", "csp-header.txt", "index.html"}
)
"""First segments, in lower case, of the paths at which Dagster serves something other than its page."""

_METHODS = {
    Endpoint.PAGE: ("GET", "HEAD"),
    Endpoint.FILE: ("GET", "HEAD"),
    Endpoint.GRAPHQL: ("POST",),
    Endpoint.REPORT: ("POST",),
}


def target_of(path: str, method: str) -> Target:
    """Returns the request to forward for a path, which is in normal form.

    Raises:
        InvalidArgument: the path differs from a path of the list by case or by a trailing slash.
        NotFound: the path is not on the list.
        MethodNotAllowed: the path supports other methods.
    """
    target = _target(path.removeprefix(PATH).removeprefix("/"))
    allowed = _METHODS[target.endpoint]
    if method not in allowed:
        raise MethodNotAllowed(f"This path supports {', '.join(allowed)}.", metadata={"allow": list(allowed)})
    return target


def _target(path: str) -> Target:
    if path == _GRAPHQL:
        return Target(Endpoint.GRAPHQL, f"{PATH}/{_GRAPHQL}")
    if _FILES.fullmatch(path):
        return Target(Endpoint.FILE, f"{PATH}/{path}")
    if _REPORTS.fullmatch(path):
        return Target(Endpoint.REPORT, f"{PATH}/{path}")
    first, _, others = path.partition("/")
    lowered = first.lower()
    if lowered in _TAKEN or lowered.startswith("favicon"):
        if first != lowered or (not others and path.endswith("/")):
            raise InvalidArgument("The path is not in normal form: case and slashes count.")
        raise NotFound("Dagster has no page or file at this path.")
    return Target(Endpoint.PAGE, f"{PATH}/")
