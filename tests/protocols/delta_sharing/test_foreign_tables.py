"""Tables of other writers: each is read exactly or refused with the name of the feature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.foreign_tables.unpack import unpack
from tests.orchestration import node
from tests.protocols.delta_sharing.provider import Provider
from tests.protocols.delta_sharing.test_client import asked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
READ = (
    *("deletion_vectors", "column_mapping_name", "column_mapping_id", "partition_types", "partitions", "v2_checkpoint"),
    *("change_data_feed", "vacuum_protocol_check", "struct_stats", "in_commit_timestamps", "timestamp_ntz"),
)
NEEDED = {
    "deletion_vectors": "deletionVectors",
    "column_mapping_name": "columnMapping",
    "timestamp_ntz": "timestampNtz",
    "type_widening": "typeWidening",
}


@pytest.fixture(scope="module")
def foreign(provider: Provider) -> dict[str, Any]:
    """Shares the tables, and returns the rows that Spark read from them."""
    expected = {}
    provider.share("foreign")
    for name in (*READ, "type_widening"):
        asset = f"flights.foreign.{name}"
        provider.server.orchestrator.nodes[asset] = node(asset)
        expected[name] = unpack(name, Path(provider.tables.uri(asset)))
        provider.post(f"ai-catalog/shares/{provider.ids['foreign']}:add-object", {"asset": asset})
    return expected


def test_the_client_reads_the_rows_that_spark_reads(
    provider: Provider, foreign: dict[str, Any], tmp_path: Path
) -> None:
    profile = provider.profile_file(provider.recipient("initech", "foreign"), tmp_path)
    keys = {name: foreign[name].column_names[0] for name in READ}
    questions = [f"sorted(str(row[0]) for row in rows('foreign.foreign.{name}'))" for name in READ]
    for name, found in zip(READ, asked(profile, *questions), strict=True):
        assert found == sorted(str(value) for value in foreign[name][keys[name]].to_pylist()), name


def test_a_client_that_lacks_a_feature_is_refused(provider: Provider, foreign: dict[str, Any]) -> None:
    profile = provider.profile(provider.recipient("umbrella", "foreign"))
    headers = {"authorization": f"Bearer {profile['bearerToken']}"}
    with httpx.Client(base_url=profile["endpoint"], headers=headers) as client:
        for name, feature in NEEDED.items():
            path = f"/shares/foreign/schemas/foreign/tables/{name}"
            for capabilities in ("", "responseformat=delta", "responseformat=parquet;readerfeatures=deletionvectors"):
                sent = {"delta-sharing-capabilities": capabilities}
                for reply in (
                    client.post(f"{path}/query", json={}, headers=sent),
                    client.get(f"{path}/metadata", headers=sent),
                ):
                    assert reply.status_code == 400
                    assert feature in reply.json()["message"]
                    assert "flights.foreign" not in reply.text
