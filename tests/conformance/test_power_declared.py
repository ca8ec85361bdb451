"""Every operation that gives power away declares it.

The kind: an operation writes rights or credentials, and its power was not considered. What an operation
writes is read from its code, so that a new one is found without a case for it.
"""

from __future__ import annotations

from api.kernel.documents.footprint import Footprint
from api.kernel.kinds.endpoint import Endpoint
from api.kernel.permissions.power import Power
from tests.conformance.operations import ENDPOINTS
from tests.conformance.power_cases import CASES, OWN_ONLY

TABLES = {"grant", "member", "token", "principal", "setting", "identity", "one_time_password", "recovery_code"}
"""Tables that say who holds what, and by which credential."""

CHANGES = [endpoint for endpoint in ENDPOINTS if endpoint.changes]
GIVING = [one for one in CHANGES if one.power is not None and one.power & ~Power.BY_PROOF]


def written(endpoint: Endpoint) -> set[str]:
    footprint = Footprint()
    footprint.follow(endpoint.declared if not endpoint.text else endpoint.function)
    footprint.follow(endpoint.function)
    return footprint.tables & TABLES


def test_what_writes_rights_or_credentials_says_what_it_gives() -> None:
    silent = {str(one): sorted(tables) for one in CHANGES if one.power is None and (tables := written(one))}
    assert not silent, f"declare what these grant, in `powers` of their kind: {silent}"


def test_the_footprint_sees_what_operations_write() -> None:
    """So that the test before does not pass because nothing is seen."""
    by_name = {endpoint.operation_id: endpoint for endpoint in ENDPOINTS}
    for name, table in (
        ("admin_create_api_key", "token"),
        ("admin_create_grant", "grant"),
        ("admin_add_members_group", "member"),
        ("admin_set_password_user", "principal"),
        ("admin_update_settings", "setting"),
    ):
        assert table in written(by_name[name])


def test_every_change_of_a_kind_that_touches_principals_says_what_it_gives() -> None:
    kinds = {endpoint.kind for endpoint in CHANGES if endpoint.power is not None}
    assert [str(one) for one in CHANGES if one.kind in kinds and one.power is None] == []
    assert [str(one) for one in CHANGES if one.service == "admin" and one.power is None] == []
    for kind in kinds:
        assert set(kind.powers) <= {one.verb for one in ENDPOINTS if one.kind is kind}, f"{kind.name}: an unknown verb"


def test_only_what_needs_no_login_goes_by_proof() -> None:
    assert [
        str(one) for one in ENDPOINTS if one.power is not None and Power.BY_PROOF in one.power and not one.public
    ] == []


def test_everything_that_gives_has_a_case() -> None:
    assert {str(one) for one in GIVING} - OWN_ONLY == set(CASES)
