"""Dagster's processes of one home on free ports, for reliability tests and benches."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from core import loopback
from core.settings import Settings, load_settings
from dagster_project.instance import workspace_config, write_instance
from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
LAUNCH = """mutation($p:ExecutionParams!){launchRun(executionParams:$p){__typename
  ... on LaunchRunSuccess{run{runId}} ... on PythonError{message} ... on RunConfigValidationInvalid{errors{message}}
  ... on PipelineNotFoundError{message} ... on InvalidSubsetError{message}}}"""
RUNS = "query($i:[String!]){runsOrError(filter:{runIds:$i}){... on Runs{results{runId status tags{key value}}}}}"
TERMINATE = """mutation($i:[String!]!){terminateRuns(runIds:$i){__typename
  ... on TerminateRunsResult{terminateRunResults{__typename}}}}"""


class DagsterProcesses:
    """Code servers, webserver, daemon and, with the warm launcher, the zygote. A context manager."""

    def __init__(
        self,
        home: Path,
        modules: Mapping[str, str],
        *,
        code: Path,
        instance: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        daemon: bool = True,
    ) -> None:
        self.modules = dict(modules)
        self.code = code
        base = {"HEADWATER_HOME": str(home), "HEADWATER_PORT": str(free_ports(5)), **(environment or {})}
        self.settings: Settings = load_settings(base)
        self.environment = {
            **os.environ,
            **base,
            "DAGSTER_HOME": str(self.settings.dagster_home),
            "PYTHONPATH": os.pathsep.join([str(code), str(ROOT)]),
            "PYTHONWARNINGS": "ignore",
        }
        self.instance = instance
        self.daemon = daemon
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        write_instance(self.settings)
        workspace = workspace_config(self.settings)
        workspace["load_from"] = [
            entry for entry in workspace["load_from"] if entry["grpc_server"]["location_name"] in self.modules
        ]
        home = self.settings.dagster_home
        (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
        if self.instance is not None:
            (home / "dagster.yaml").write_text(yaml.safe_dump(dict(self.instance)))
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        try:
            for entry in workspace["load_from"]:
                server = entry["grpc_server"]
                self.start(f"code-{server['location_name']}")
            if self.warm:
                self.start("zygote")
            for entry in workspace["load_from"]:
                port = entry["grpc_server"]["port"]
                until(lambda port=port: listens(port), 90, "code server")  # type: ignore[misc]
            self.start("webserver")
            if self.daemon:
                self.start("daemon")
            until(self.ready, 90, "webserver")
            if self.warm:
                until((self.settings.run_dir / "zygote.sock").exists, 90, "zygote")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.stop(name)

    @property
    def warm(self) -> bool:
        return self.instance is None and self.settings.launcher == "warm"

    def start(self, name: str) -> None:
        """Starts one process; its output goes to the logs folder."""
        workspace = str(self.settings.dagster_home / "workspace.yaml")
        port = self.settings.dagster_port
        if name.startswith("code-"):
            location = name.removeprefix("code-")
            ports = {"flights": self.settings.code_server_port, "published": self.settings.published_code_server_port}
            where = ["--host", "127.0.0.1", "--port", str(ports[location]), "--location-name", location]
            command = ["dagster", "code-server", "start", "--module-name", self.modules[location], *where]
        elif name == "webserver":
            where = [
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--path-prefix",
                f"{self.settings.path_prefix}/dagster",
            ]
            command = ["dagster_project.webserver", "--workspace", workspace, *where]
        elif name == "daemon":
            command = ["dagster._daemon", "run", "--workspace", workspace]
        else:
            command = ["dagster_project.zygote", *(f"{name}={module}" for name, module in self.modules.items())]
        with (self.settings.logs_dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.code,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends one process and, if it does not obey, its group."""
        process = self.processes.pop(name)
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill(self, name: str) -> None:
        """kill -9 of one process."""
        self.stop(name, signal.SIGKILL)

    def log(self, name: str) -> str:
        return (self.settings.logs_dir / f"{name}.log").read_text(errors="replace")

    def ready(self) -> bool:
        query = "{workspaceOrError{... on Workspace{locationEntries{loadStatus locationOrLoadError{__typename}}}}}"
        try:
            entries = self.graphql(query)["workspaceOrError"]["locationEntries"]
        except (OSError, KeyError, http.client.HTTPException):
            # On loopback a connection to a port without a listener can meet itself and read its own request.
            return False
        loaded = [entry["locationOrLoadError"]["__typename"] == "RepositoryLocation" for entry in entries]
        return len(loaded) == len(self.modules) and all(loaded)

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.settings.dagster_port}{self.settings.path_prefix}/dagster/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", loopback.HEADER: loopback.loopback_key(self.settings.keys_dir)},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read()[:2000]) from error
        assert not content.get("errors"), content["errors"]
        data: dict[str, Any] = content["data"]
        return data

    def launch(
        self,
        *assets: Sequence[str],
        location: str = "flights",
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Launches a run of some assets and returns its id."""
        selector = {
            "repositoryLocationName": location,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": list(key)} for key in assets],
        }
        metadata = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
        parameters = {"selector": selector, "runConfigData": config or {}, "executionMetadata": metadata}
        answer = self.graphql(LAUNCH, p=parameters)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def status(self, run_id: str) -> str:
        status: str = self.runs(run_id)[0]["status"]
        return status

    def tags(self, run_id: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.runs(run_id)[0]["tags"]}

    def runs(self, *ids: str) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = self.graphql(RUNS, i=list(ids))["runsOrError"]["results"]
        return results

    def terminate(self, run_id: str) -> None:
        self.graphql(TERMINATE, i=[run_id])

    def finish(self, run_id: str, seconds: float = 60) -> str:
        """Waits for a run to end and returns its status."""
        until(lambda: self.status(run_id) in ("SUCCESS", "FAILURE", "CANCELED"), seconds, f"end of {run_id}")
        return self.status(run_id)


def until(holds: Callable[[], bool], seconds: float, description: str, pause: float = 0.05) -> float:
    """Waits until something holds and returns how long that took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, f"waited {seconds} s for: {description}"
        time.sleep(pause)
    return time.monotonic() - started


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
