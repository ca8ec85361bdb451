"""The unmodified Delta Sharing client reads what is shared, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.protocols.delta_sharing.provider import Provider
from tests.protocols.mlflow.conftest import PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PROGRAM = Path(__file__).with_name("client_program.py")


def asked(profile: Path, *questions: str) -> list[Any]:
    """The answers of the client to questions."""
    assert PYTHON.exists(), "run `make setup-clients`"
    done = subprocess.run([PYTHON, PROGRAM, profile, *questions], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answers: list[Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answers


PEOPLE = "flights.gold.route_delays"
"""An asset of the fake orchestrator that other tests of the provider don't read."""

DAY_1, DAY_2 = "2026-01-01", "2026-01-02"
NEWEST = [[1, "AA", DAY_1], [2, "B 6", DAY_1], [3, None, DAY_1], [5, "B 6", DAY_2]]
FIRST = NEWEST[:3]


@pytest.mark.effect("ai_catalog_add_object_share", "ai_catalog_grant_share")
def test_the_client_reads_what_is_shared(provider: Provider, tmp_path: Path) -> None:
    profile = provider.profile_file(provider.recipient("acme", "partners"), tmp_path)
    questions = {
        "tables()": [
            *("partners.clean.flights", "partners.gold.american", "partners.gold.daily"),
            *("partners.gold.newest", "partners.gold.pinned"),
        ],
        "columns('partners.gold.daily')": ["id", "carrier", "day"],
        "rows('partners.gold.daily')": NEWEST,
        "rows('PARTNERS.Gold.Daily')": NEWEST,
        "len(rows('partners.gold.daily', limit=2))": 2,
        "rows('partners.gold.daily', limit=0)": [],
        "rows('partners.gold.daily', version=1)": FIRST,
        "rows('partners.gold.daily', use_delta_format=True)": NEWEST,
        "rows('partners.gold.daily', use_delta_format=True, version=1)": FIRST,
        "rows('partners.gold.american')": [[1, "AA", DAY_1]],
        "rows('partners.gold.american', use_delta_format=True)": [[1, "AA", DAY_1]],
        "rows('partners.gold.pinned')": FIRST,
        "rows('partners.gold.newest')": NEWEST,
        "rows('partners.clean.flights')": [[1, "A"], [2, "X"], [4, "D"]],
        "version('partners.gold.daily')": 3,
        "version('partners.gold.pinned')": 1,
        "version('partners.gold.daily', starting_timestamp='2001-01-01T00:00:00Z')": 1,
        "changes('partners.gold.daily', starting_version=2)": [
            *([4, "AA", DAY_2, "delete", 3], [4, "AA", DAY_2, "insert", 2], [5, "B 6", DAY_2, "insert", 2]),
        ],
        "changes('partners.gold.american', starting_version=1, ending_version=2)": [
            *([1, "AA", DAY_1, "insert", 1], [4, "AA", DAY_2, "insert", 2]),
        ],
        "changes('partners.gold.daily', starting_version=2, use_delta_format=True)": [
            *([4, "AA", DAY_2, "delete", 3], [4, "AA", DAY_2, "insert", 2], [5, "B 6", DAY_2, "insert", 2]),
        ],
    }
    for question, found in zip(questions, asked(profile, *questions), strict=True):
        assert found == questions[question], question


@pytest.mark.effect("ai_catalog_revoke_recipient", "ai_catalog_rotate_recipient")
def test_the_client_of_a_recipient_without_access_is_refused(provider: Provider, tmp_path: Path) -> None:
    profile = provider.profile_file(provider.recipient("hooli", "partners"), tmp_path)
    urls = (
        "[file.url for file in rest().list_files_in_table("
        "Table(name='daily', share='partners', schema='gold')).add_files]"
    )
    links, denied, unknown = asked(profile, urls, "rows('secret.gold.daily')", "rows('partners.gold.missing')")
    assert "404" in denied
    assert "404" in unknown
    assert asked(profile, f"len(pd.read_parquet('{links[0]}'))") == [1]
    rotated = provider.post(f"ai-catalog/recipients/{provider.ids['hooli']}:rotate", {"overlap_hours": 0})
    fresh = provider.profile_file(rotated["secret"], tmp_path, "fresh.share")
    questions = ("tables()", f"len(pd.read_parquet('{links[0]}'))")
    listed, linked = asked(profile, *questions)
    assert "401" in listed
    assert "401" in linked
    (again,) = asked(fresh, urls)
    provider.post(f"ai-catalog/recipients/{provider.ids['hooli']}:revoke")
    for answer in asked(fresh, "tables()", f"len(pd.read_parquet('{again[0]}'))", "rows('partners.gold.daily')"):
        assert "401" in answer


def test_the_client_reads_masked_rows_of_a_table_that_a_policy_restricts(provider: Provider, tmp_path: Path) -> None:
    mails = {"id": pa.array([1, 2, 3], pa.int64()), "mail": ["ada@secret", "ben@secret", "cay@secret"]}
    provider.tables.overwrite(PEOPLE, pa.table(mails))
    provider.share("people", {"asset": PEOPLE, "schema_name": "gold", "table_name": "people", "history_from": 0})
    profile = provider.profile_file(provider.recipient("pied-piper", "people"), tmp_path)
    read = "rows('people.gold.people'"
    assert asked(profile, f"{read})") == [[[1, "ada@secret"], [2, "ben@secret"], [3, "cay@secret"]]]
    spec = {"title": "Mails", "assets": [PEOPLE], "masks": [{"column": "mail", "method": "PARTIAL", "first": 3}]}
    spec |= {"row_filter": "id < 3", "exempt": [provider.http.get("admin/users/admin").json()["id"]]}
    id = provider.post("ai-catalog/policies", {"name": "mails", "spec": spec})["id"]
    provider.post(f"ai-catalog/policies/{id}:activate")
    masked = [[1, "ada***"], [2, "ben***"]]
    questions = {
        f"{read})": masked,
        f"{read}, use_delta_format=True)": masked,
        f"{read}, version=0)": masked,
        f"len({read}, limit=1))": 1,
        "columns('people.gold.people')": ["id", "mail"],
        "version('people.gold.people')": 0,
    }
    for question, found in zip(questions, asked(profile, *questions), strict=True):
        assert found == questions[question], question
    (refused,) = asked(profile, "changes('people.gold.people', starting_version=0)")
    assert "400" in refused
    provider.post(f"ai-catalog/policies/{id}:disable")
    assert asked(profile, f"{read})") == [[[1, "ada@secret"], [2, "ben@secret"], [3, "cay@secret"]]]
