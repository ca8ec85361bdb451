"""Encryption of stored secrets: AES-256-GCM with keys that only the owner of the keys folder can read."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from core.errors import Unavailable

_FILE = "sealing.keys"


class Sealer:
    """An encryption of short texts. It encrypts with the newest key and decrypts with all keys. Thread-safe.

    The file contains a line `<id> <key>` per key, newest first. Processes that share a metadata database need the same
    file. A sealed text is bound to its `context` (the row that contains it), so that it cannot be moved to another row.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._keys: Mapping[str, bytes] = {}

    def seal(self, text: str, context: str) -> str:
        """Encrypts a text. Creates the first key if there is none."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not self._keys:
            self._create_file()
            self._keys = self._read()
        key_id, key = next(iter(self._keys.items()))
        nonce = os.urandom(12)
        sealed = AESGCM(key).encrypt(nonce, text.encode(), context.encode())
        return f"v1.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, sealed: str, context: str) -> str:
        """Decrypts a text that `seal` returned.

        Raises:
            Unavailable: the key is not in the file, or the text was altered or belongs to another context.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            _, key_id, payload = sealed.split(".")
            content = base64.urlsafe_b64decode(payload)
            if base64.urlsafe_b64encode(content).decode() != payload:  # Python ignores what follows the padding
                raise ValueError("The text has another form than the one that was sealed.")
        except ValueError as error:
            raise Unavailable("A stored secret is damaged. Set it again.") from error
        if key_id not in self._keys:
            self._keys = self._read()  # another process may have added it
        if key_id not in self._keys:
            raise Unavailable(
                f"A stored secret was encrypted with key {key_id}, which {self._path} does not contain. Restore the "
                "key, or set the secret again."
            )
        try:
            return AESGCM(self._keys[key_id]).decrypt(content[:12], content[12:], context.encode()).decode()
        except InvalidTag as error:
            raise Unavailable("A stored secret is damaged. Set it again.") from error

    def derived(self, purpose: str) -> bytes:
        """Returns a key for one purpose: the same in every process that has the file, until the next rotation."""
        if not self._keys:
            self._create_file()
            self._keys = self._read()
        return hmac.digest(next(iter(self._keys.values())), purpose.encode(), "sha256")

    def rotate(self) -> None:
        """Adds a key that encrypts from now on. Older texts stay readable until their key is removed."""
        self._create_file()
        fresh = self._path.with_suffix(f".{secrets.token_hex(4)}")
        self._create(fresh, f"{_new_line()}{self._path.read_text()}")
        fresh.replace(self._path)
        self._keys = self._read()

    def _create_file(self) -> None:
        """Creates the file with one key, atomically, unless it exists."""
        if self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_suffix(f".{secrets.token_hex(4)}")
        self._create(fresh, _new_line())
        try:
            os.link(fresh, self._path)
        except FileExistsError:
            pass  # another process was first
        finally:
            fresh.unlink()

    @staticmethod
    def _create(path: Path, content: str) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> Mapping[str, bytes]:
        if not self._path.exists():
            return {}
        pairs = [line.split() for line in self._path.read_text().splitlines() if line.strip()]
        return {key_id: base64.urlsafe_b64decode(key) for key_id, key in pairs}


def _new_line() -> str:
    return f"{secrets.token_hex(4)} {base64.urlsafe_b64encode(os.urandom(32)).decode()}\n"
