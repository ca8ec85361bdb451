"""Every page with commands or programs is run by a test, or stands here with the reason why not.

Kind of fault: a command in a page that no test runs, so that a mistake in it goes unnoticed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^ *```(?:sh|bash|console|python)$", re.MULTILINE)

RUN_BY = {
    "README.md": "tests/e2e/test_documented_commands.py",
    "docs/tutorials/from-your-postgresql-to-a-table.md": "tests/e2e/test_postgresql_tutorial.py",
    "docs/tutorials/first-hour.md": "tests/e2e/test_documented_commands.py",
    "docs/tutorials/notebook-to-reproducible-model.md": "tests/e2e/test_notebook_tutorial.py",
    "docs/tutorials/onboard-a-team.md": "tests/e2e/test_tutorials.py",
    "docs/explanation/provenance.md": "tests/api/ai_catalog/test_provenance_documentation.py",
    "docs/how-to/call-the-api.md": "tests/e2e/test_documented_commands.py",
    "docs/how-to/define-an-asset-over-rest.md": "tests/e2e/test_documented_commands.py",
    "docs/how-to/describe-a-dataset.md": "tests/api/ai_catalog/test_dataset_documentation.py",
    "docs/how-to/federate-a-model.md": "tests/assets/test_rounds_documentation.py",
    "docs/how-to/ingest-csv-files.md": "tests/assets/test_documented_examples.py",
    "docs/how-to/invite-by-mail.md": "tests/api/admin/test_invitation_mail.py",
    "docs/how-to/receive-events-from-a-broker.md": "tests/protocols/relays/test_broker_documentation.py",
    "docs/how-to/receive-webhooks.md": "tests/api/admin/test_webhook_documentation.py",
    "docs/how-to/reproduce-a-version.md": "tests/e2e/test_reproduce.py",
    "docs/how-to/connect-a-database.md": "tests/api/connections/test_documentation.py",
    "docs/how-to/open-a-part-of-a-bucket.md": "tests/api/connections/test_location_documentation.py",
    "docs/how-to/request-access.md": "tests/api/ai_catalog/test_access_documentation.py",
    "docs/how-to/run-a-pipeline.md": "tests/e2e/test_pipelines.py",
    "docs/how-to/search-your-documents.md": "tests/e2e/test_documented_commands.py",
    "docs/how-to/send-openlineage-events.md": "tests/protocols/openlineage/test_documentation.py",
    "docs/how-to/serve-a-prediction.md": "tests/e2e/test_documented_commands.py",
    "docs/how-to/share-tables-with-delta-sharing.md": "tests/protocols/delta_sharing/test_documentation.py",
    "docs/how-to/single-sign-on.md": "tests/api/admin/test_single_sign_on_documentation.py",
    "docs/how-to/subscribe-to-changes.md": "tests/api/ai_catalog/test_subscription_documentation.py",
    "docs/how-to/trust-the-platform.md": "tests/protocols/test_token_verifiers.py",
    "docs/how-to/use-branches.md": "tests/e2e/test_branches.py",
    "docs/how-to/use-the-feast-client.md": "tests/protocols/feast/test_documentation.py",
    "docs/how-to/use-the-mlflow-client.md": "tests/protocols/mlflow/test_documentation.py",
    "docs/how-to/write-a-component.md": "tests/assets/test_documented_examples.py",
    "docs/how-to/write-a-contract.md": "tests/api/ai_catalog/test_contract_documentation.py",
    "docs/how-to/write-a-kind.md": "tests/api/platform/test_write_a_kind.py",
}
"""The test that reads the page and runs what it says."""

NOT_RUN = {
    "docs/how-to/answer-an-auditor.md": "its SQL and JSON run in tests/api/admin, its command needs a platform",
    "api/README.md": "excerpts of declarations, which are no programs",
    "docs/how-to/choose-a-spark-engine.md": "needs other Spark engines; tests/protocols/spark runs the same calls",
    "docs/how-to/train-on-a-gpu.md": "needs PyTorch with CUDA; tests/assets/test_device.py runs the same on a CPU",
}
"""Pages that no test runs, and why."""


def pages() -> set[str]:
    """Pages of the repository that hold commands or programs."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split() if BLOCK.search((ROOT / name).read_text())}


def test_every_page_with_commands_is_run_or_says_why_not() -> None:
    assert pages() == RUN_BY.keys() | NOT_RUN.keys()


def test_the_tests_read_the_pages() -> None:
    for page, test in RUN_BY.items():
        assert Path(page).stem in (ROOT / test).read_text(), f"{test} does not read {page}"
