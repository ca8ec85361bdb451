"""Every command of the README, the first tutorial and the how-tos of a running platform, as a reader types them.

Only the address and the home are those of this test. A page fails if a command fails, or if the platform answers any of
them with a problem document.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.running_platform import ROOT, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DOCS = ROOT / "docs"
DEADLINE_SECONDS = 300


def blocks(page: Path, language: str) -> list[str]:
    """Returns the code blocks of a page in its order, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


class Reader:
    """Types commands in a folder that looks like the repository after `make up`."""

    def __init__(self, platform: Running, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / ".headwater").symlink_to(platform.home)
        self.environment = platform.environment | {"PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}

    def types(self, *texts: str) -> str:
        """Runs the commands in one shell; returns what they print."""
        script = "\n".join(texts).replace("http://127.0.0.1:8400", self.platform.url)
        script = re.sub(r"^make (up|down).*$", "", script, flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, script + done.stdout + done.stderr
        assert "urn:headwater:problem" not in done.stdout, script + done.stdout
        return done.stdout

    def python(self, *texts: str) -> str:
        """Runs Python in the platform's environment; returns what it prints."""
        program = "\n".join(texts).replace("http://127.0.0.1:8400", self.platform.url)
        token = self.types("headwater token").strip()
        done = subprocess.run(
            [str(ROOT / ".venv/bin/python"), "-c", program],
            cwd=ROOT,
            env=self.environment | {"TOKEN": token},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, program + done.stdout + done.stderr
        return done.stdout

    def until(self, command: str, holds: str) -> None:
        """Repeats a command until it prints this."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while holds not in (printed := self.types(command)):
            assert time.monotonic() < deadline, printed
            time.sleep(1)


@pytest.fixture
def reader(platform: Running, tmp_path: Path) -> Reader:
    return Reader(platform, tmp_path)


def test_the_readme(reader: Reader) -> None:
    printed = reader.types(*blocks(ROOT / "README.md", "sh"))
    assert "flights.models.arrival_delay" in printed


def test_the_first_hour(reader: Reader) -> None:
    page = blocks(DOCS / "tutorials/first-hour.md", "sh")
    landing = next(n for n, text in enumerate(page) if "late.csv" in text)
    define = next(n for n, text in enumerate(page) if "busiest_routes.yaml" in text)
    reader.types(*page[: landing + 1])
    late = "SELECT flight_id FROM flights.silver.flights WHERE flight = 9999"
    reader.until(f'headwater query "{late}" --format json', "flight_id")
    reader.until("headwater history flights.gold.carrier_punctuality --json", '"table_version": 1')
    (reader.folder / "busiest_routes.yaml").write_text(blocks(DOCS / "how-to/define-an-asset-over-rest.md", "yaml")[0])
    printed = reader.types(*page[1:landing], *page[landing + 1 : define], *page[define:])
    assert "day: 32 is above 31" in printed
    assert "flights.gold.busiest_routes" in printed


def test_call_the_api(reader: Reader) -> None:
    page = DOCS / "how-to/call-the-api.md"
    login, *rest = blocks(page, "sh")
    reader.types(login.replace('"..."', f'"{reader.platform.environment["HEADWATER_ADMIN_PASSWORD"]}"'))
    assert "event: end" in reader.types(*rest)
    reader.python(*blocks(page, "python"))


def test_serve_a_prediction(reader: Reader) -> None:
    page = DOCS / "how-to/serve-a-prediction.md"
    commands = blocks(page, "sh")
    assert '"probability"' in reader.types(*commands)
    over_rest = json.loads(reader.types(commands[0], commands[1]))
    instance = json.dumps({"flight_id": "20131209-UA708-EWR"})
    assert json.loads(reader.types(f"headwater predict flights.models.arrival_delay '{instance}'")) == over_rest
    reader.python(*blocks(page, "python"))


def test_search_your_documents(reader: Reader) -> None:
    """The page's index, published over REST so that the repository stays as it is."""
    page = DOCS / "how-to/search-your-documents.md"
    (declared,) = [found for text in blocks(page, "yaml") if "type" in (found := yaml.safe_load(text))]
    definition = {"component": declared["type"].rpartition(".")[2], "attributes": declared["attributes"]}
    (reader.folder / "guides.yaml").write_text(yaml.safe_dump(definition))
    for folder in ("how-to", "tutorials"):
        area = reader.platform.home / "landing/flights"
        shutil.copytree(DOCS / folder, area / declared["attributes"]["sources"][0]["root"] / folder)
    printed = reader.types("headwater assets define guides.yaml", *blocks(page, "sh"))
    assert '"citation"' in printed
    over_rest = json.loads(reader.types(*blocks(page, "sh")[1:]))
    question = "why did the nightly refresh not run?"
    by_command = reader.types(f"headwater search flights.index.guides '{question}' --json")
    assert [hit["citation"] for hit in json.loads(by_command)["hits"]] == [hit["citation"] for hit in over_rest["hits"]]
    assert "how-to/" in reader.python(*blocks(page, "python"))


def test_define_an_asset_over_rest(reader: Reader) -> None:
    """The page's asset under two other names, since the first tutorial makes the one of the page."""
    page = DOCS / "how-to/define-an-asset-over-rest.md"
    from_file, over_http, life = blocks(page, "sh")

    def named(text: str, name: str) -> str:
        return text.replace("busiest_routes", name)

    declared = blocks(page, "yaml")[0]
    (reader.folder / "routes_from_a_file.yaml").write_text(named(declared, "routes_from_a_file"))
    reader.types(named(from_file, "routes_from_a_file"))
    printed = reader.types(named(over_http, "routes_over_http"))
    assert '"publishable":true' in printed
    reader.until("headwater history flights.gold.routes_over_http --json || true", '"table_version": 0')
    printed = reader.types(named(life, "routes_over_http"))
    assert "flights.gold.routes_over_http" in printed
    assert "flights.gold.routes_over_http" in reader.types("headwater assets list")


def test_answer_an_auditor(reader: Reader) -> None:
    reader.until(*blocks(DOCS / "how-to/answer-an-auditor.md", "sh"), holds="admin.")


def test_federate_a_model(reader: Reader) -> None:
    """The page's command for the rounds of the sample. `tests/assets` materializes the asset that the page declares."""
    (command,) = blocks(DOCS / "how-to/federate-a-model.md", "sh")
    sample = "flights.rounds.arrival_delay"
    assert sample in reader.types(command.replace("flights.rounds.late_by_season", sample))


def test_ingest_csv_files(reader: Reader) -> None:
    """A file with one row that does not fit: the page's commands deliver it, and show why the row is quarantined."""
    deliver, ask = blocks(DOCS / "how-to/ingest-csv-files.md", "sh")
    (first_hour,) = re.findall(r"<<'CSV'\n(.*?)CSV\n", (DOCS / "tutorials/first-hour.md").read_text(), re.DOTALL)
    header, *rows = first_hour.splitlines()
    broken = next(row for row in rows if "32" in row)
    (reader.folder / "january.csv").write_text(f"{header}\n{broken}\n")
    reader.types(deliver)
    reader.until(ask.strip(), holds="january.csv")
