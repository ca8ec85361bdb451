"""Strict parsing of URLs that users and other systems supply, so that every stored URL can be connected to."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit


def parse_address(url: str) -> SplitResult:
    """Parses an absolute URL with a host. Every property of the result can be read without an error.

    Raises:
        ValueError: the URL isn't valid, for example because of an unclosed bracket, an invalid port or host name.
    """
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("an address must not contain spaces or control characters")
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        raise ValueError("an address needs a scheme and a host")
    if parts.port == 0:
        raise ValueError("0 is not a valid port")
    if parts.netloc.rpartition("@")[2].startswith("["):
        ipaddress.IPv6Address(parts.hostname.partition("%")[0])
    else:
        # DNS limits: the IDNA codec refuses empty labels and labels longer than 63 characters.
        parts.hostname.encode("idna")
    return parts


def authority(url: str) -> str:
    """Returns host and port as the URL writes them; empty if the URL can't be parsed."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
