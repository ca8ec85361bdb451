"""The two Spark Connect engines that the platform can run: Sail in this process, and Apache Spark in a JVM.

Both listen on the loopback address only. This module doesn't import Dagster, so that the server process stays small.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

from core.java import Java, find_java, write_truststore
from core.settings import Settings
from core.supervisor import die_with_parent
from resources.spark.conf import aws_environment, spark_conf
from resources.spark.jars import jars, spark_home

HOST = "127.0.0.1"

_OPEN_PACKAGES = (
    "java.base/java.lang",
    "java.base/java.lang.invoke",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
"""Java packages that Spark's own launcher opens for reflection (its JavaModuleOptions)."""


class Engine(Protocol):
    """A running Spark Connect server."""

    token: str
    """Bearer token that clients must send; empty if the engine has no authentication."""

    @property
    def pid(self) -> int:
        """Id of the process that listens."""

    def ready(self) -> bool:
        """Returns whether the server accepts connections."""

    def exit_code(self) -> int | None:
        """Returns the exit code; `None` while the server runs."""

    def stop(self) -> None:
        """Stops the server and waits until it has stopped."""


class Sail:
    """The Spark Connect server of Sail, in this process, without a JVM."""

    token = ""

    def __init__(self, settings: Settings, port: int) -> None:
        # Sail's object store client reads its options only from the environment.
        os.environ.update(aws_environment(settings.storage_options))
        os.environ.setdefault("RUST_LOG", "warn")
        from pysail.spark import SparkConnectServer

        self._server = SparkConnectServer(HOST, port)
        self._server.start(background=True)

    @property
    def pid(self) -> int:
        """Id of this process."""
        return os.getpid()

    def ready(self) -> bool:
        """Returns whether the server listens."""
        return self._server.listening_address is not None

    def exit_code(self) -> int | None:
        """Returns `None` while the server runs, and 1 after it has stopped."""
        return None if self._server.running else 1

    def stop(self) -> None:
        """Stops listening. The process ends soon afterwards."""
        self._server.stop()


class ApacheSpark:
    """The Spark Connect server of Apache Spark in local mode, with Delta Lake.

    The JVM is started directly, not through `spark-submit`: that script needs bash, a second JVM to compute the
    command, and a Java module that slim runtimes lack.
    """

    def __init__(self, settings: Settings, port: int) -> None:
        self._port = port
        self.token = secrets.token_urlsafe(24)
        scratch = settings.run_dir / "spark"
        shutil.rmtree(scratch, ignore_errors=True)  # left over if an earlier server was killed
        scratch.mkdir(parents=True, mode=0o700)
        java = find_java(os.environ)
        self._process = subprocess.Popen(
            [*_jvm(java, settings, scratch), *_submit(settings, port, scratch)],
            cwd=scratch,
            env=_jvm_environment(self.token),
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )

    @property
    def pid(self) -> int:
        """Id of the JVM process."""
        return self._process.pid

    def ready(self) -> bool:
        """Returns whether the server accepts connections."""
        return accepts(self._port)

    def exit_code(self) -> int | None:
        """Returns the exit code of the JVM; `None` while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Stops the JVM, and kills it after 10 seconds."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start(engine: str, settings: Settings, port: int) -> Engine:
    """Starts the engine `embedded` or `local` on a loopback port.

    Raises:
        Unavailable: the engine is `local` and no suitable Java is installed.
    """
    return Sail(settings, port) if engine == "embedded" else ApacheSpark(settings, port)


def accepts(port: int) -> bool:
    """Returns whether a process listens on a loopback port."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def _jvm(java: Java, settings: Settings, scratch: Path) -> list[str]:
    home = spark_home()
    classpath = [str(home / "conf"), str(home / "jars" / "*"), str(jars(settings) / "*")]
    store = write_truststore(java, scratch)
    return [
        str(java.executable),
        "-cp",
        os.pathsep.join(classpath),
        f"-Xmx{settings.spark_memory}",
        "-XX:+IgnoreUnrecognizedVMOptions",
        *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPEN_PACKAGES),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Djava.io.tmpdir={scratch}",
        *([f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword="] if store else []),
    ]


def _submit(settings: Settings, port: int, scratch: Path) -> list[str]:
    # In a file, because command lines are visible to every user of the machine, and some values are secret.
    properties = scratch / "spark.properties"
    properties.touch(mode=0o600)
    conf = spark_conf(settings, HOST, port, scratch)
    properties.write_text("".join(f"{key}={_escaped(value)}\n" for key, value in conf.items()))
    return [
        "org.apache.spark.deploy.SparkSubmit",
        *("--master", "local[*]", "--name", "headwater"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--properties-file", str(properties)),
        "spark-internal",
    ]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _jvm_environment(token: str) -> dict[str, Any]:
    return {
        **os.environ,
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": HOST,
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        # By default, workers use the first `python3` on the PATH, which may be another environment.
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
