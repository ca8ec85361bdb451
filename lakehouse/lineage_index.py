"""The lineage graph in memory: compact arrays of nodes and edges."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from lakehouse.graph import Direction, LineageLink

_MAX_DIGITS = 18
"""Digits of a Delta version that fit into the array of versions. Versions of other systems are any text."""


class LineageIndex:
    """Edges as linked lists in arrays: the newest edge of each node, and the next older edge of each edge.

    Not thread-safe. Needs 48 bytes per edge and about 360 bytes per node.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.tombstone_sequence = 0
        self.edges = 0
        """Number of edges, also of those without an input."""
        self._ids: dict[tuple[str, str], int] = {}
        self._nodes: list[tuple[str, str]] = []
        self._first_sequence = array("q")
        self._recorded = bytearray()
        self._counter = array("q")
        """Delta version of each node; -1 for a version of another form."""
        self._first_in, self._first_out = array("q"), array("q")
        self._edge_out, self._edge_in = array("q"), array("q")
        self._next_in, self._next_out = array("q"), array("q")
        self._edge_run, self._edge_step = array("q"), array("q")
        self._names: dict[str, int] = {}
        self._name_list: list[str] = []
        self._versions: dict[tuple[str, str], list[int]] = {}
        """Delta versions of each table of an asset that the index contains, ascending."""
        self._first_recorded: dict[tuple[str, str], int] = {}
        self._latest: dict[str, int] = {}
        """Latest node of each asset."""
        self._recorded_of: dict[str, array[int]] = {}
        """Recorded nodes of each asset."""
        self._read: dict[str, set[str]] = {}
        """Assets and other sources that any version of an asset was produced from."""
        self._deleted: set[tuple[str, str]] = set()
        self._deleted_until: dict[str, int] = {}
        """Sequence number per asset: versions that were recorded up to it are deleted."""

    def add(
        self, sequence: int, out_asset: str, out_version: str, in_asset: str, in_version: str, run: str, step: str
    ) -> None:
        """Adds the edge with this sequence number."""
        if sequence > self.sequence:
            self.sequence = sequence
        self.edges += 1
        key = (out_asset, out_version)
        out = self._ids.get(key, -1)
        if out < 0:
            out = self._add_node(key, sequence)
        if not self._recorded[out]:
            self._mark_recorded(out)
        if not in_asset:
            return
        self._read.setdefault(out_asset, set()).add(in_asset)
        key = (in_asset, in_version)
        source = self._ids.get(key, -1)
        if source < 0:
            source = self._add_node(key, sequence)
        edge = len(self._edge_out)
        self._edge_out.append(out)
        self._edge_in.append(source)
        self._next_in.append(self._first_in[out])
        self._next_out.append(self._first_out[source])
        self._edge_run.append(self._name_number(run))
        self._edge_step.append(self._name_number(step))
        self._first_in[out] = self._first_out[source] = edge

    def add_tombstone(self, sequence: int, asset: str, version: str | None, edge_sequence: int) -> None:
        """Marks a version, or all versions recorded up to `edge_sequence`, as deleted."""
        self.tombstone_sequence = max(self.tombstone_sequence, sequence)
        if version is not None:
            self._deleted.add((asset, version))
        else:
            self._deleted_until[asset] = max(self._deleted_until.get(asset, 0), edge_sequence)

    def latest(self, asset: str) -> str | None:
        """Returns the latest version that was recorded as an output; if there is none, as an input."""
        number = self._latest.get(asset)
        return None if number is None else self._nodes[number][1]

    def assets(self) -> list[str]:
        """Returns all assets that occur in the index."""
        return list(self._latest)

    def recorded_version(self, asset: str, version: str) -> str:
        """Returns the newest version up to this one, of the same table, to which an edge is recorded."""
        return version if self.is_recorded(asset, version) else self.previous(asset, version) or version

    def previous(self, asset: str, version: str) -> str | None:
        """Returns the recorded version before this one, of the same table; `None` if there is none."""
        table_id, counter = _split(version)
        versions = self._versions.get((asset, table_id), []) if counter >= 0 else []
        for number in reversed(versions[: bisect_left(versions, counter)]):
            name = f"{table_id}@{number}"
            if self._recorded[self._ids[asset, name]]:
                return name
        return None

    def sources(self, asset: str) -> set[str]:
        """Returns all assets and other sources that any version of an asset was produced from, also indirectly."""
        found: set[str] = set()
        pending = [asset]
        while pending:
            new = self._read.get(pending.pop(), set()) - found
            found |= new
            pending += new
        return found

    def links_into(self, asset: str, version: str) -> list[LineageLink]:
        """Returns the recorded links into a version.

        Another writer can restore the rows of an earlier version without a record. So a version without one has a link
        to each recorded version before it of the same table, or, if there is none, of the asset.
        """
        if self.is_recorded(asset, version):
            links, edge = [], self._first_in[self._ids[asset, version]]
            while edge >= 0:
                links.append(self.link(edge))
                edge = self._next_in[edge]
            return links
        recorded = self.recorded_versions(asset)
        table_id, counter = _split(version)
        before = [one for one in recorded if _split(one)[0] == table_id and _split(one)[1] < counter]
        names = before or recorded
        return [LineageLink(asset, version, asset, name, run="", step="", implied=True) for name in names]

    def is_recorded(self, asset: str, version: str) -> bool:
        """Returns whether an edge to the version is recorded."""
        number = self._ids.get((asset, version), -1)
        return number >= 0 and bool(self._recorded[number])

    def recorded_versions(self, asset: str) -> list[str]:
        """Returns the versions of an asset to which an edge is recorded."""
        return [self._nodes[number][1] for number in self._recorded_of.get(asset, ())]

    def is_deleted(self, asset: str, version: str) -> bool:
        """Returns whether the version was deleted."""
        node = (asset, version)
        if node in self._deleted:
            return True
        until = self._deleted_until.get(node[0])
        if until is None:
            return False
        number = self._ids.get(node, -1)
        return number < 0 or self._first_sequence[number] <= until

    def neighbors(self, direction: Direction, node: tuple[str, str]) -> Iterator[tuple[tuple[str, str], int]]:
        """Yields the neighbors of a node, each with the edge to it; -1 for an implied one."""
        number = self._ids.get(node, -1)
        upstream = direction == "upstream"
        if number >= 0:
            first, following, ends = (
                (self._first_in, self._next_in, self._edge_in)
                if upstream
                else (self._first_out, self._next_out, self._edge_out)
            )
            edge = first[number]
            while edge >= 0:
                yield self._nodes[ends[edge]], edge
                edge = following[edge]
        implied = self._implied_source(node, number) if upstream else self._implied_output(node)
        if implied:
            yield implied, -1

    def _implied_source(self, node: tuple[str, str], number: int) -> tuple[str, str] | None:
        """Returns the version before this one if no edge is recorded for this one, but one for an earlier version."""
        if number >= 0 and self._recorded[number]:
            return None
        asset, (table_id, version) = node[0], _split(node[1])
        if version <= self._first_recorded.get((asset, table_id), version):
            return None
        versions = self._versions[asset, table_id]
        return asset, f"{table_id}@{versions[bisect_left(versions, version) - 1]}"

    def _implied_output(self, node: tuple[str, str]) -> tuple[str, str] | None:
        """Returns the version after this one if no edge is recorded for it."""
        asset, (table_id, version) = node[0], _split(node[1])
        versions = self._versions.get((asset, table_id), [])
        position = bisect_right(versions, version)
        if version < self._first_recorded.get((asset, table_id), version + 1) or position >= len(versions):
            return None
        after = (asset, f"{table_id}@{versions[position]}")
        return None if self._recorded[self._ids[after]] else after

    def link(self, edge: int) -> LineageLink:
        """Returns the edge with this number."""
        names = self._name_list
        return LineageLink(
            *self._nodes[self._edge_out[edge]],
            *self._nodes[self._edge_in[edge]],
            run=names[self._edge_run[edge]],
            step=names[self._edge_step[edge]],
            implied=False,
        )

    def _add_node(self, key: tuple[str, str], sequence: int) -> int:
        number = self._ids[key] = len(self._nodes)
        table_id, counter = _split(key[1])
        self._nodes.append(key)
        self._first_sequence.append(sequence)
        self._recorded.append(0)
        self._counter.append(counter)
        self._first_in.append(-1)
        self._first_out.append(-1)
        if counter >= 0:
            versions = self._versions.setdefault((key[0], table_id), [])
            if not versions or counter > versions[-1]:
                versions.append(counter)
            else:
                insort(versions, counter)
        self._update_latest(number)
        return number

    def _mark_recorded(self, number: int) -> None:
        """Notes that an edge to the node is recorded."""
        self._recorded[number] = 1
        asset, version = self._nodes[number]
        self._recorded_of.setdefault(asset, array("q")).append(number)
        table_id, counter = _split(version)
        if counter >= 0:
            first = self._first_recorded.get((asset, table_id), counter)
            self._first_recorded[asset, table_id] = min(first, counter)
        self._update_latest(number)

    def _update_latest(self, number: int) -> None:
        """Updates the latest node of an asset.

        Outputs precede inputs. Versions of one table are compared by number, others by the order of recording.
        """
        asset, version = self._nodes[number]
        latest = self._latest.setdefault(asset, number)
        if latest == number or self._recorded[number] < self._recorded[latest]:
            return
        if self._recorded[number] == self._recorded[latest]:
            same_table = _split(version)[0] == _split(self._nodes[latest][1])[0]
            rank = self._counter if same_table and self._counter[number] >= 0 else self._first_sequence
            if rank[number] < rank[latest]:
                return
        self._latest[asset] = number

    def _name_number(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._name_list)
            self._name_list.append(name)
        return number


def _split(version: str) -> tuple[str, int]:
    """Returns the table id and the Delta version of a data version; -1 for a version of another form."""
    table_id, separator, counter = version.rpartition("@")
    is_number = counter.isascii() and counter.isdigit() and len(counter) <= _MAX_DIGITS
    return (table_id, int(counter)) if separator and is_number else (version, -1)
