"""Fields of answers that contain references say so."""

from __future__ import annotations

from api.kernel.documents.reference_marks import mark


def test_a_field_that_is_named_like_a_reference_is_marked_with_its_kinds() -> None:
    fields = {
        "owner": {"type": "string"},
        "project_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "share_id": {"type": "string"},
        "subject": {"type": "string"},
    }
    mark({"ShareRead": {"properties": fields}}, {"share": "ai_catalog.share"})
    assert fields["owner"]["x-refers-to"] == ["admin.user", "admin.service_account", "admin.group"]
    assert fields["project_id"]["anyOf"] == [{"type": "string", "x-refers-to": ["admin.project"]}, {"type": "null"}]
    assert fields["share_id"]["x-refers-to"] == ["ai_catalog.share"]
    assert fields["subject"]["x-refers-to"] == ["*"]


def test_a_name_and_a_list_are_no_reference_and_a_declared_one_stays() -> None:
    declared = {"type": "string", "x-refers-to": ["admin.user"]}
    fields = {
        "project": {"type": "string"},
        "owner": {"type": "array", "items": {"type": "string"}},
        "role_id": declared,
    }
    mark({"Anything": {"properties": fields}}, {})
    assert "x-refers-to" not in str(fields["project"]) + str(fields["owner"])
    assert declared["x-refers-to"] == ["admin.user"]
