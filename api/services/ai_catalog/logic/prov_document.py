"""W3C PROV in its JSON form (PROV-JSON): versions are entities, steps of runs are activities, principals are agents.

The document is plain JSON, so that the API does not load a library for it. The tests read it with the library `prov`.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from api.kernel.lake.provenance import Materialization
from api.services.ai_catalog.logic.provenance_document import Node, ProvenanceDocument

_FACTS = ("run", "step", "code_version", "git_sha", "env_digest", "engine", "params_digest")


def document(found: ProvenanceDocument) -> dict[str, Any]:
    """Returns the PROV-JSON document."""
    result: dict[str, dict[str, Any]] = {
        "prefix": {"hw": "urn:headwater:"},
        "entity": {
            _entity(node): {"hw:asset": node[0], "hw:version": node[1]} | ({"hw:deleted": True} if deleted else {})
            for node, deleted in found.versions.items()
        },
    }
    relations = _Relations(result)
    for produced in found.produced:
        node, step = (produced.asset, produced.version), produced.step
        activity = _name("step", step.run, step.step)
        facts = {f"hw:{fact}": value for fact in _FACTS if (value := getattr(step, fact))}
        at = step.at.isoformat()
        result.setdefault("activity", {})[activity] = {"prov:endTime": at} | facts
        relations.add("wasGeneratedBy", {"prov:entity": _entity(node), "prov:activity": activity, "prov:time": at})
        if step.principal:
            agent = _name("principal", step.principal)
            result.setdefault("agent", {})[agent] = {"hw:name": step.principal}
            relations.add("wasAssociatedWith", {"prov:activity": activity, "prov:agent": agent})
        _add_inputs(relations, node, activity, step)
    for node, source in found.implied:
        relations.add("wasDerivedFrom", {"prov:generatedEntity": _entity(node), "prov:usedEntity": _entity(source)})
    return result


def _add_inputs(relations: _Relations, node: Node, activity: str, step: Materialization) -> None:
    for used in step.inputs:
        source = _entity((used.asset, used.version))
        columns: dict[str, Any] = {"hw:columns": used.columns} if used.columns else {}
        relations.add("used", {"prov:activity": activity, "prov:entity": source} | columns)
        derived = {"prov:generatedEntity": _entity(node), "prov:usedEntity": source, "prov:activity": activity}
        relations.add("wasDerivedFrom", derived)


class _Relations:
    """Adds relations with an identifier each."""

    def __init__(self, document: dict[str, dict[str, Any]]) -> None:
        self._document = document
        self._seen: set[str] = set()

    def add(self, kind: str, relation: dict[str, Any]) -> None:
        """Adds a relation, unless the document has it."""
        content = json.dumps([kind, relation], sort_keys=True)
        if content not in self._seen:
            self._seen.add(content)
            self._document.setdefault(kind, {})[f"_:r{len(self._seen)}"] = relation


def _entity(node: Node) -> str:
    return _name("version", *node)


def _name(*parts: str) -> str:
    return "hw:" + "/".join(quote(part, safe="@._-") for part in parts)
