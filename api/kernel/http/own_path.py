"""The target of redirects after a login: a path of this site.

Browsers remove tabs and line breaks from URLs and treat backslashes as slashes. So a URL is accepted only if it is
unambiguous. `static/own-path.js` has the same rule for the pages.
"""

from __future__ import annotations

import re

from api.kernel.http.paths import is_normal

_MAX_LENGTH = 1000
_TAIL = r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]{}|^`]*"
_ADDRESS = re.compile(rf"(?P<path>[^?#]*)(?:\?{_TAIL})?(?:#{_TAIL})?")


def own_path(target: str, default: str = "/") -> str:
    """Returns the target if it is a path of this site, optionally with a query and a fragment, or else the default."""
    match = _ADDRESS.fullmatch(target) if len(target) <= _MAX_LENGTH and target.isascii() else None
    return target if match and is_normal(match["path"].encode()) else default
