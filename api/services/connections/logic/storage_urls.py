"""URLs of external locations: one spelling for each, so that locations can be compared."""

from __future__ import annotations

import re

from connectors.types.s3_location import PATH
from core.errors import InvalidPayload

_BUCKET = re.compile(r"(?:s3|s3a|s3n)://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_PATH = re.compile(PATH)
_LONGEST = 700


def normalized(url: str, pointer: str = "/spec/url") -> str:
    """Returns the URL of a folder, which ends with a slash: `S3://lake/raw` is `s3://lake/raw/`.

    Raises:
        InvalidPayload: it is no URL of a store, or its path means different things to different clients.
    """
    bucket, path = parts(url, pointer)
    return f"s3://{bucket}/{path}{'/' if path and not path.endswith('/') else ''}"


def parts(url: str, pointer: str = "/url") -> tuple[str, str]:
    """Returns the bucket and the path of a URL. Raises as `normalized`."""
    match = _BUCKET.fullmatch(url)
    if match is None or match[1] != match[1].lower():
        raise _refused(pointer, "is not of the form s3://bucket/folder, with a bucket in lower case")
    return match[1], checked_path(match[2] or "", pointer)


def checked_path(path: str, pointer: str) -> str:
    """Returns a path below a bucket or a location, as it is. Raises as `normalized`."""
    if not _PATH.fullmatch(path):
        raise _refused(pointer, "has characters that policies of stores read as wildcards, or that need an escape")
    if len(path) > _LONGEST:
        raise _refused(pointer, f"is longer than {_LONGEST} characters")
    segments = path.removesuffix("/").split("/")
    if path and any(segment in ("", ".", "..") for segment in segments):
        raise _refused(pointer, "has an empty segment, or one of only dots, which clients read differently")
    return path


def above(url: str) -> list[str]:
    """Returns the URLs of all folders that contain a URL, and of the URL itself if it is a folder."""
    scheme, _, rest = url.partition("://")
    segments = rest.split("/")
    return [f"{scheme}://{'/'.join(segments[:n])}/" for n in range(1, len(segments))]


def _refused(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
