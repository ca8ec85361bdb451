"""Names of resources that are derived from free text, such as the id of an asset or a name in MLflow."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def derived_name(text: str) -> str:
    """Returns the name of the resource for a text: the same text if it is valid, or one with its digest."""
    if _NAME.fullmatch(text):
        return text
    words = re.sub(r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", text).lower()).strip("-")[:40]
    return f"mlflow-{words}-{hashlib.sha256(text.encode()).hexdigest()[:12]}".replace("--", "-")
