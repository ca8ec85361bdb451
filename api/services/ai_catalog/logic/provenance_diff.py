"""A comparison of the provenances of two versions, which follows the inputs whose version changed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import Provenance, recorded
from api.kernel.platform import open_lineage
from core.ids import is_asset_id

FACTS = ("code_version", "git_sha", "engine", "env_digest", "params_digest", "principal")


@dataclass(slots=True)
class Comparison:
    """What differs between two versions of an asset."""

    asset: str
    before: str
    after: str
    distance: int
    recorded: bool = False
    facts: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    """Name, values before, and values after."""
    inputs: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    """Asset, versions before, and versions after."""


class ProvenanceComparison:
    """Compares versions breadth first. Hidden inputs and deleted versions are not followed."""

    def __init__(self, ctx: Context, *, depth: int, max_nodes: int) -> None:
        self._ctx = ctx
        self._lineage = ctx.platform.part(open_lineage)
        self._depth = depth
        self._max_nodes = max_nodes
        self.truncated = False

    def of(self, asset: str, before: str, after: str) -> list[Comparison]:
        """Returns the differences between two versions of an asset, and of inputs whose version changed."""
        waiting = deque([Comparison(asset, before, after, 0)])
        seen = {(asset, before, after)}
        found: list[Comparison] = []
        while waiting:
            one = waiting.popleft()
            self._compare(one)
            found.append(one)
            for name, old, new in one.inputs:
                if not (old and new) or not is_asset_id(name):
                    continue
                pair = (name, old[-1], new[-1])
                if pair in seen:
                    continue
                if one.distance >= self._depth or len(seen) >= self._max_nodes:
                    self.truncated = True
                    continue
                seen.add(pair)
                waiting.append(Comparison(*pair, one.distance + 1))
        return found

    def _compare(self, one: Comparison) -> None:
        old, new = self._provenance(one.asset, one.before), self._provenance(one.asset, one.after)
        if old is None or new is None:
            return
        one.recorded = True
        for fact in FACTS:
            values = _values(old, fact), _values(new, fact)
            if values[0] != values[1]:
                one.facts.append((fact, *values))
        read = _inputs(old), _inputs(new)
        for name in sorted({*read[0], *read[1]}):
            versions = read[0].get(name, []), read[1].get(name, [])
            if versions[0] != versions[1]:
                one.inputs.append((name, *versions))

    def _provenance(self, asset: str, version: str) -> Provenance | None:
        if self._lineage.is_deleted(asset, version):
            return None
        return recorded(self._ctx, asset, self._lineage.recorded_version(asset, version))


def _values(provenance: Provenance, fact: str) -> list[str]:
    return sorted({str(getattr(one, fact)) for one in provenance.materializations})


def _inputs(provenance: Provenance) -> dict[str, list[str]]:
    """Returns the versions of each input in the order of recording, without versions of the asset that it continues."""
    found: dict[str, list[str]] = {}
    for one in provenance.materializations:
        for used in one.inputs:
            if used.asset != provenance.asset and used.version not in found.setdefault(used.asset, []):
                found[used.asset].append(used.version)
    return found
