"""DSSE envelopes: a payload with its type, signed in the pre-authentication encoding (PAE) of DSSE 1.0."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def encoded(payload: bytes) -> bytes:
    """Returns the bytes that are signed for a payload."""
    type = PAYLOAD_TYPE.encode()
    return b" ".join((b"DSSEv1", str(len(type)).encode(), type, str(len(payload)).encode(), payload))


def is_valid(payload: bytes, signature: str, public: dict[str, Any]) -> bool:
    """Returns whether a base64 signature of a payload is that of the key with this JWK."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from joserfc.jwk import RSAKey

    key: RSAPublicKey = RSAKey.import_key(public).get_op_key("verify")
    try:
        key.verify(base64.b64decode(signature, validate=True), encoded(payload), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True
