"""What a notebook does with the unmodified MLflow client: files of runs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import requests
from client_program import case, main, refused

import mlflow
from mlflow import MlflowClient


def new_run() -> str:
    mlflow.set_experiment("artifacts")
    return str(MlflowClient().create_run(mlflow.get_experiment_by_name("artifacts").experiment_id).info.run_id)


def listed(run: str, path: str | None = None) -> dict[str, int | None]:
    return {one.path: None if one.is_dir else one.file_size for one in MlflowClient().list_artifacts(run, path)}


def artifact_url(run: str, path: str) -> str:
    experiment = MlflowClient().get_run(run).info.experiment_id
    base = os.environ["MLFLOW_TRACKING_URI"]
    return f"{base}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/{path}"


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"}


@case
def files_and_folders() -> None:
    client, run = MlflowClient(), new_run()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.txt", "deep/er/b ü.bin", "empty"):
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"" if name == "empty" else name.encode() * 10)
        client.log_artifacts(run, folder, "files")
        client.log_artifact(run, str(Path(folder, "a.txt")))
        client.log_text(run, "héllo", "notes/hello.txt")
        client.log_dict(run, {"a": [1, 2]}, "notes/config.json")
        assert listed(run) == {"a.txt": 50, "files": None, "notes": None}
        assert listed(run, "files") == {"files/a.txt": 50, "files/deep": None, "files/empty": 0}
        deep = listed(run, "files/deep/er")
        assert deep == {"files/deep/er/b ü.bin": 160}, deep
        down = Path(client.download_artifacts(run, "files", tempfile.mkdtemp(dir=folder)))
        assert (down / "deep/er/b ü.bin").read_bytes() == "deep/er/b ü.bin".encode() * 10
        assert (down / "empty").read_bytes() == b""
    assert mlflow.artifacts.load_text(f"runs:/{run}/notes/hello.txt") == "héllo"
    assert mlflow.artifacts.load_dict(f"runs:/{run}/notes/config.json") == {"a": [1, 2]}


@case
def a_large_file_goes_up_in_parts_at_the_same_time() -> None:
    client, run = MlflowClient(), new_run()
    content = os.urandom(12_000_001)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights ü.bin")
        file.write_bytes(content)
        client.log_artifact(run, str(file), "deep/model")
        parts = 0

        def counted(*arguments: Any, **options: Any) -> requests.Response:
            nonlocal parts
            parts += 1
            return put(*arguments, **options)

        put, requests.put = requests.put, counted
        sizes = {"MINIMUM_FILE_SIZE": "6000000", "CHUNK_SIZE": "5000000"}
        os.environ |= {f"MLFLOW_MULTIPART_UPLOAD_{name}": size for name, size in sizes.items()}
        try:
            client.log_artifact(run, str(file), "in parts")
        finally:
            requests.put = put
            for name in sizes:
                del os.environ[f"MLFLOW_MULTIPART_UPLOAD_{name}"]
        assert parts == 3, parts
        down = Path(client.download_artifacts(run, "in parts/weights ü.bin", tempfile.mkdtemp(dir=folder)))
        assert hashlib.sha256(down.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert listed(run, "in parts") == {"in parts/weights ü.bin": len(content)}


@case
def an_artifact_is_replaced() -> None:
    client, run = MlflowClient(), new_run()
    for text in ("first", "second, longer"):
        client.log_text(run, text, "x.txt")
        assert mlflow.artifacts.load_text(f"runs:/{run}/x.txt") == text
    assert listed(run) == {"x.txt": 14}


@case
def a_large_file() -> None:
    client, run = MlflowClient(), new_run()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "large.bin")
        with file.open("wb") as written:
            for n in range(40):
                written.write(bytes([n]) * 1_000_003)
        client.log_artifact(run, str(file))
        down = Path(client.download_artifacts(run, "large.bin", tempfile.mkdtemp(dir=folder)))
        digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (file, down)]
    assert digests[0] == digests[1]
    assert listed(run) == {"large.bin": 40_000_120}


@case
def a_file_is_no_folder() -> None:
    client, run = MlflowClient(), new_run()
    client.log_text(run, "x", "a")
    client.log_text(run, "x", "b/c")
    for path in ("a/inside", "b"):
        reply = requests.put(artifact_url(run, path), data=b"x", headers=headers(), timeout=60)
        assert reply.status_code == 400, reply.text
    assert listed(run) == {"a": 1, "b": None}


@case
def paths_that_lead_elsewhere() -> None:
    run = new_run()
    bad = (
        *("../x", "a/../../x", "..%2fx", "%2e%2e/x", "a//b", "./x", "/etc/passwd", "%2fetc%2fpasswd", "C:%5cx"),
        *("a%5c..%5cb", "..\\x", "a%00b", "a%0ab", "%e2%80%ae.txt", "x" * 1100, "a/" * 60 + "b"),
    )
    for path in bad:
        prepared = requests.Request("PUT", artifact_url(run, "x"), data=b"x", headers=headers()).prepare()
        prepared.url = artifact_url(run, path)  # requests would resolve the dots
        reply = requests.Session().send(prepared, timeout=60)
        assert 400 <= reply.status_code < 500, (path, reply.status_code, reply.text)
    assert listed(run) == {}


@case
def what_is_not_there() -> None:
    client, run = MlflowClient(), new_run()
    assert listed(run) == {}
    assert listed(run, "nothing") == {}
    reply = requests.get(artifact_url(run, "nothing"), headers=headers(), timeout=60)
    assert (reply.status_code, reply.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: client.list_artifacts("run_nosuch"))
    reply = requests.put(artifact_url(run, "x").replace(run, "run_nosuch"), data=b"x", headers=headers(), timeout=60)
    assert reply.status_code == 404


@case
def deletion() -> None:
    client, run = MlflowClient(), new_run()
    for path in ("a.txt", "b/c.txt", "b/d/e.txt", "bc.txt"):
        client.log_text(run, "x", path)
    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(
        client.get_run(run).info.artifact_uri
    )
    repository.delete_artifacts("b")
    assert listed(run) == {"a.txt": 1, "bc.txt": 1}
    repository.delete_artifacts("a.txt")
    assert listed(run) == {"bc.txt": 1}


@case
def a_figure_and_a_table() -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    mlflow.set_experiment("artifacts")
    figure, axes = plt.subplots()
    axes.plot([1, 2], [3, 4])
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_table({"question": ["a"], "answer": ["b"]}, "tables/answers.json")
        mlflow.log_table({"question": ["c"], "answer": ["d"]}, "tables/answers.json")
    assert set(listed(run.info.run_id)) == {"plots", "tables"}
    table = mlflow.load_table("tables/answers.json", run_ids=[run.info.run_id])
    assert list(table["question"]) == ["a", "c"]


if __name__ == "__main__":
    main()
