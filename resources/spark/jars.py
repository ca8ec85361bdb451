"""The jars that local Apache Spark needs in addition to its own: Delta Lake and, for tables on S3, Hadoop's S3 client.

The first start downloads them, once for all platforms of a user. All later starts need neither the network nor Ivy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import quoteattr

from core.errors import Unavailable
from core.java import Java, find_java, write_truststore
from core.settings import Settings
from core.supervisor import die_with_parent

DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
"""Maven coordinates. Version 4.4.1 exists as a Python package, but its jar was never published."""

_S3_PACKAGE = "org.apache.hadoop:hadoop-aws:3.5.0"
"""Must match the Hadoop release that pyspark 4.2.0 contains."""

_SHIPPED_WITH_SPARK = (
    "com.fasterxml.jackson.core:jackson-annotations",
    "com.fasterxml.jackson.core:jackson-core",
    "com.fasterxml.jackson.core:jackson-databind",
    "com.github.luben:zstd-jni",
    "commons-logging:commons-logging",
    "io.airlift:aircompressor",
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.logging.log4j:log4j-api",
    "org.apache.logging.log4j:log4j-core",
    "org.apache.logging.log4j:log4j-slf4j2-impl",
    "org.apache.parquet:parquet-column",
    "org.apache.parquet:parquet-common",
    "org.apache.parquet:parquet-encoding",
    "org.apache.parquet:parquet-format-structures",
    "org.apache.parquet:parquet-hadoop",
    "org.apache.parquet:parquet-jackson",
    "org.roaringbitmap:RoaringBitmap",
    "org.scala-lang:scala-library",
    "org.slf4j:slf4j-api",
    "org.xerial.snappy:snappy-java",
)
"""Dependencies of the packages that Spark already contains, mostly in a newer release. Excluding them saves 70 MB."""

_PAUSES = (5.0, 20.0, 0.0)
"""Seconds after each failed attempt: a repository that fails for a moment must not fail a run."""

_ATTEMPT_SECONDS = 600.0


def jars(settings: Settings) -> Path:
    """Returns the folder with the jars. Downloads them if this user has never used them.

    Raises:
        Unavailable: the jars are missing and can't be downloaded, or no suitable Java is installed.
    """
    if settings.spark_jars_dir:
        return _provided(Path(settings.spark_jars_dir).expanduser())
    on_s3 = settings.effective_lakehouse_url.startswith(("s3://", "s3a://"))
    return downloaded([DELTA_PACKAGE, *([_S3_PACKAGE] if on_s3 else [])], _SHIPPED_WITH_SPARK)


def downloaded(packages: Iterable[str], excluded: Iterable[str] = (), folder: Path | None = None) -> Path:
    """Returns a folder with packages from Maven Central and their dependencies. Downloads them on the first call.

    Safe to call from several processes concurrently: one downloads, the others wait. Two downloads at the same time
    would corrupt each other's cache.

    Args:
        packages: Maven coordinates, `group:artifact:version`.
        excluded: dependencies to leave out, `group:artifact`.
        folder: parent folder of the jars of all packages; by default, the same folder for all platforms of a user.

    Raises:
        Unavailable: the packages can't be downloaded, or no suitable Java is installed.
    """
    wanted, unwanted = sorted(packages), sorted(excluded)
    parent = folder or Path.home() / ".ivy2" / "headwater"
    name = wanted[0].split(":")[1]
    target = parent / f"{name}-{hashlib.sha256(repr((wanted, unwanted)).encode()).hexdigest()[:12]}"
    if target.is_dir():
        return target
    java = find_java(os.environ)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / f"{target.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                _download(java, wanted, unwanted, target)
    except OSError as error:
        raise Unavailable(
            f"The jars of {', '.join(wanted)} could not be written to {parent} ({error.strerror}). Make the folder "
            "writable, or copy the jars to another folder and set HEADWATER_SPARK_JARS_DIR."
        ) from error
    return target


def spark_home() -> Path:
    """Returns the folder of Apache Spark, which the Python package pyspark contains.

    Raises:
        Unavailable: the package isn't installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise Unavailable("Local Apache Spark needs the Python package pyspark. Run `make up` to install it.")
    return Path(spec.origin).parent


def _provided(folder: Path) -> Path:
    # Without these jars, Spark starts but can't read Delta tables.
    if not any(folder.glob("*delta-spark_*.jar")):
        raise Unavailable(
            f"HEADWATER_SPARK_JARS_DIR is {folder}, which contains no delta-spark jar. Copy the jars of "
            f"{DELTA_PACKAGE} and its dependencies to that folder, or remove the setting to download them from Maven "
            "Central."
        )
    return folder


def _download(java: Java, packages: list[str], excluded: list[str], target: Path) -> None:
    # A killed download leaves this folder behind. The rename at the end makes the complete folder visible.
    partial = target.parent / f"{target.name}.part"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "jars").mkdir(parents=True)
    (partial / "ivy.xml").write_text(_module(packages, excluded))
    (partial / "settings.xml").write_text(_settings(os.environ))
    store = write_truststore(java, partial)
    trust = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword="] if store else []
    [ivy] = (spark_home() / "jars").glob("ivy-*.jar")
    command = [
        *(str(java.executable), *trust, "-jar", str(ivy)),
        *("-settings", str(partial / "settings.xml"), "-ivy", str(partial / "ivy.xml")),
        *("-cache", str(partial / "cache"), "-types", "jar", "bundle", "-confs", "default"),
        *("-retrieve", f"{partial}/jars/[organisation]_[artifact]-[revision](-[classifier]).[ext]"),
    ]
    for pause in _PAUSES:
        code, output = _run(command)
        if code == 0:
            (partial / "jars").rename(target)
            shutil.rmtree(partial, ignore_errors=True)
            return
        time.sleep(pause)
    raise Unavailable(
        f"The jars of {', '.join(packages)} could not be downloaded from Maven Central ({_reason(output)}). Check the "
        "network and try again. Without a network, copy the jars to a folder and set HEADWATER_SPARK_JARS_DIR."
    )


def _run(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ATTEMPT_SECONDS,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no end after {_ATTEMPT_SECONDS:g} s"
    return done.returncode, done.stdout + done.stderr


def _reason(output: str) -> str:
    lines = [line.strip(" \t:") for line in output.splitlines()]
    relevant = [line for line in lines if "not found" in line or "Exception" in line or "ERROR" in line]
    return (relevant or [line for line in lines if line] or ["no output"])[0][:300]


def _module(packages: list[str], excluded: list[str]) -> str:
    """Returns the Ivy file that depends on the packages."""
    dependencies = "".join(
        f"<dependency org={quoteattr(group)} name={quoteattr(artifact)} rev={quoteattr(version)} "
        'conf="default-&gt;default(runtime)"/>'
        for group, artifact, version in (package.split(":") for package in packages)
    )
    exclusions = "".join(
        f"<exclude org={quoteattr(group)} module={quoteattr(artifact)}/>"
        for group, artifact in (dependency.split(":") for dependency in excluded)
    )
    return (
        '<ivy-module version="2.0"><info organisation="headwater" module="jars"/>'
        '<configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}{exclusions}</dependencies></ivy-module>"
    )


def _settings(environment: Mapping[str, str]) -> str:
    """Returns Ivy settings with one repository: Maven Central, or the mirror that Spark's own variable names."""
    mirror = environment.get("DEFAULT_ARTIFACT_REPOSITORY")
    root = f" root={quoteattr(mirror)}" if mirror else ""
    return (
        '<ivysettings><settings defaultResolver="central"/>'
        f'<resolvers><ibiblio name="central" m2compatible="true"{root}/></resolvers></ivysettings>'
    )
