"""Every verb in addition to the standard methods has a test that looks for its effect elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.kernel.documents import ledger
from api.kernel.documents.ledger import EVERY_OPERATION, MethodKind
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.stored_kind import Method
from api.main import SERVICES
from core.errors import NotFound
from tests.conformance.one_pass import in_one_pass
from tests.conformance.operations import ENDPOINTS

ROOT = Path(__file__).parents[2]
PROOFS = ledger.coverage(ROOT)


def test_every_verb_has_one(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("grown"):
        pytest.skip("what is made up has no effect to prove")
    actions = [endpoint for endpoint in ENDPOINTS if endpoint.shape in (Shape.ACTION, Shape.COLLECTION_ACTION)]
    missing = [str(endpoint) for endpoint in actions if PROOFS.of(endpoint) == [EVERY_OPERATION]]
    assert not missing, f"Mark the test that proves them with @pytest.mark.effect(...): {missing}"


def test_every_standard_method_is_proven() -> None:
    assert set(PROOFS.methods) == {method.value for method in Method}
    assert (ROOT / EVERY_OPERATION).is_file()


def test_no_mark_names_what_there_is_not() -> None:
    assert sorted(set(PROOFS.effects) - {endpoint.operation_id for endpoint in ENDPOINTS}) == []


def test_a_mark_that_nobody_could_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text("pytestmark = pytest.mark.effect(*VERBS)\n")
    with pytest.raises(ValueError, match=r"tests/test_some.py: the arguments of a mark must be literals"):
        ledger.coverage(tmp_path)


def test_marks_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_some.py").write_text(
        "pytestmark = [pytest.mark.slow, pytest.mark.effect('a_all')]\n"
        "@pytest.mark.effect('a_class')\n"
        "class TestIt:\n"
        "    @pytest.mark.standard('get', 'list')\n"
        "    async def test_one(self): ...\n"
    )
    found = ledger.coverage(tmp_path)
    assert found.effects == {"a_all": ["tests/test_some.py"], "a_class": ["tests/test_some.py::TestIt"]}
    assert found.methods == {key: ["tests/test_some.py::TestIt::test_one"] for key in ("get", "list")}


@in_one_pass("endpoint", ENDPOINTS)
def test_an_operation_is_found_by_its_name_and_by_its_path(endpoint: ledger.Endpoint) -> None:
    assert ledger.find(SERVICES, endpoint.operation_id) is endpoint
    assert ledger.find(SERVICES, f"{endpoint.method.lower()} {endpoint.path}") is endpoint


@pytest.mark.parametrize(
    ("asked", "similar"),
    [
        ("admin_creat_user", "admin_create_user"),
        ("suspend_user", "admin_suspend_user"),
        ("DELETE /api/v1/admin/audit-events", "GET /api/v1/admin/audit-events"),
        ("GET /api/v1/admin/user", "GET /api/v1/admin/users"),
    ],
)
def test_what_is_asked_for_wrongly_is_answered_with_similar_names(asked: str, similar: str) -> None:
    with pytest.raises(NotFound) as refused:
        ledger.find(SERVICES, asked)
    assert similar in refused.value.metadata["similar"]
    assert similar in refused.value.detail


@pytest.mark.parametrize(
    ("operation", "sort"),
    [
        ("admin_list_grants", MethodKind.STANDARD),
        ("admin_restore_group", MethodKind.STANDARD),
        ("admin_get_group_revision", MethodKind.STANDARD),
        ("admin_export_groups", MethodKind.STANDARD),
        ("admin_export_audit_events", MethodKind.CUSTOM),
        ("admin_get_group_members", MethodKind.CUSTOM),
        ("admin_login", MethodKind.CUSTOM),
    ],
)
def test_what_the_kernel_wrote_is_standard(operation: str, sort: MethodKind) -> None:
    assert ledger.method_kind_of(ledger.find(SERVICES, operation)) is sort
