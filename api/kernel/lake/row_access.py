"""What a principal gets of the rows of a table: nothing, what policies leave, or everything.

Every operation that returns rows, or what is computed from them, asks here. An operation that can't apply the
restrictions of policies refuses a principal who is restricted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import Connection

from api.kernel.credentials.sealing import open_sealer
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import asset_securable
from api.kernel.permissions.row_policies import RowPolicy
from api.kernel.platform import Platform, open_tables
from core.errors import HeadwaterError, PermissionDenied, Unavailable, UnknownTable
from core.row_policies import MaskMethod, RoundUnit

if TYPE_CHECKING:
    from lakehouse.column_names import ColumnNames
    from lakehouse.restrictions import ColumnMask, RestrictedSnapshot, Restriction
    from lakehouse.snapshot import Snapshot

Tags = Mapping[str, Collection[str]]
"""Tags by column, such as `pii` and `pii:email`."""

TagReader = Callable[[Connection, str, str, Iterable[str]], Tags]
"""Returns the tags of columns of an asset: transaction, id of the organization, id of the asset, columns."""


def is_restricted(platform: Platform, access: Access, asset: str, connection: Connection | None = None) -> bool:
    """Returns whether a policy hides rows or values of any version of an asset from a principal. May read the log.

    Args:
        platform: what the process shares.
        access: the rights of the principal.
        asset: id of the asset.
        connection: the transaction that the caller has, if it has one.
    """
    policies = policies_on(platform, access, asset)
    if not policies:
        return False
    try:
        if any(policy.row_filter for policy in policies):
            return True
        columns = _columns(platform, asset)
        return bool(masked(policies, columns, tags_for(platform, policies, asset, columns, connection)))
    except HeadwaterError:
        return True


def closes_copy(
    platform: Platform, access: Access, source: str, copy: str, columns: Collection[str] | None = None
) -> bool:
    """Returns whether policies on a table keep a principal from reading what was copied from it.

    A condition, and masks by tags, that also cover the copy are applied there: a derived column inherits the tags. A
    mask by a name says nothing about the column that was computed.

    Args:
        platform: what the process shares.
        access: the rights of the principal.
        source: id of the table.
        copy: id of the asset that was produced from it.
        columns: columns of the table that were copied. None if that is not known, so that all count.
    """
    policies = policies_on(platform, access, source)
    if not policies:
        return False
    place = asset_securable(platform, copy).organization_id
    elsewhere = [policy for policy in policies if not policy.covers(place, copy)]
    if any(policy.row_filter for policy in elsewhere):
        return True
    names = _columns(platform, source) if columns is None else sorted(columns)
    by_name = [mask for policy in policies for mask in policy.masks if mask["column"]]
    if any(mask["column"].lower() == name.lower() for mask in by_name for name in names):
        return True
    return bool(masked(elsewhere, names, tags_for(platform, elsewhere, source, names)))


def restriction(
    platform: Platform, access: Access, asset: str, columns: Sequence[str], further: Sequence[RowPolicy] = ()
) -> Restriction | None:
    """Returns what policies hide from a principal of a table with these columns. None if they hide nothing.

    Args:
        platform: what the process shares.
        access: the rights of the principal.
        asset: id of the asset.
        columns: names of the columns.
        further: policies that apply as well, such as a draft.

    Raises:
        PermissionDenied: a policy can't be applied to these columns.
    """
    from lakehouse.policy_expressions import policy_expression
    from lakehouse.restrictions import Restriction

    policies = [*policies_on(platform, access, asset), *further]
    if not policies:
        return None
    reader, conditions, reads = access.reader, [], frozenset[str]()
    for policy in policies:
        if policy.row_filter:
            expression = policy_expression(policy.row_filter)
            if missing := expression.columns - {name.lower() for name in columns}:
                raise PermissionDenied(
                    f"The policy {policy.name} leaves rows of {asset} out by the column {min(missing)}, which this "
                    "version doesn't have. Ask the policy's author to change its filter."
                )
            conditions.append(expression.sql(reader.id, reader.subjects.__contains__))
            reads |= expression.columns
    hidden = masked(policies, columns, tags_for(platform, policies, asset, columns))
    masks = {name: _mask(access, name, found, columns, hidden) for name, found in hidden.items()}
    if not masks and not conditions:
        return None
    place = asset_securable(platform, asset)
    key = platform.part(open_sealer).derived(f"hashes of masked values of {place.organization_id}")
    return Restriction(masks, tuple(conditions), key.hex(), reads)


def as_read_by(platform: Platform, access: Access, snapshot: Snapshot) -> Snapshot | RestrictedSnapshot:
    """Returns a table as a principal who holds the right to read its rows gets it. Runs in a worker thread.

    Raises:
        PermissionDenied: a policy can't be applied.
    """
    from lakehouse.restrictions import RestrictedSnapshot

    found = restriction(platform, access, snapshot.table, snapshot.schema.names)
    return snapshot if found is None else RestrictedSnapshot(snapshot, found)


def policies_on(platform: Platform, access: Access, asset: str) -> list[RowPolicy]:
    """Returns the policies that cover an asset and restrict a principal, whether or not they hide anything of it."""
    if not access.reader.policies:
        return []
    return access.reader.restricting(asset_securable(platform, asset).organization_id, asset)


def masked(policies: Sequence[RowPolicy], columns: Sequence[str], tags: Tags) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the masks of columns, by column. Columns differ in more than the case of their names."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name in columns:
        for policy in policies:
            for mask in policy.masks:
                if mask["tag"] in tags.get(name, ()) or mask["column"].lower() == name.lower():
                    found.setdefault(name, []).append(mask)
    return found


def tags_for(
    platform: Platform,
    policies: Sequence[RowPolicy],
    asset: str,
    columns: Sequence[str],
    connection: Connection | None = None,
) -> Tags:
    """Returns the tags of the columns of an asset now, if one of the policies masks columns by their tags."""
    if not any(mask["tag"] for policy in policies for mask in policy.masks):
        return {}
    organization_id, read = asset_securable(platform, asset).organization_id or "", platform.part(open_column_tags)
    if connection is not None:
        return read(connection, organization_id, asset, columns)
    with platform.database.read() as opened:
        return read(opened, organization_id, asset, columns)


def open_column_tags(platform: Platform) -> TagReader:
    """Returns what reads the tags of columns. The composition provides it.

    Raises:
        Unavailable: this process doesn't know tags, so that it can't apply policies that mask columns by them.
    """
    raise Unavailable("This process doesn't know the tags of columns, which a policy masks.")


def open_column_names(platform: Platform) -> ColumnNames:
    """Returns the names of columns that this process has read."""
    from lakehouse.column_names import ColumnNames

    return ColumnNames(platform.part(open_tables))


def _mask(
    access: Access,
    name: str,
    masks: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    hidden: Collection[str],
) -> ColumnMask:
    """Returns the mask of a column. Different masks of one column hide its values completely."""
    from lakehouse.policy_expressions import policy_expression
    from lakehouse.restrictions import NULL_MASK, ColumnMask

    different = {json.dumps(dict(mask) | {"column": "", "tag": ""}, sort_keys=True) for mask in masks}
    if len(different) > 1:
        return NULL_MASK
    mask, sql, reads = masks[0], "", frozenset[str]()
    if mask["expression"]:
        expression = policy_expression(mask["expression"])
        others = {column.lower() for column in hidden} - {name.lower()}
        # An expression may disclose its own column only, as its author decided.
        if expression.columns & others or expression.columns - {column.lower() for column in columns}:
            return NULL_MASK
        sql, reads = expression.sql(access.reader.id, access.reader.subjects.__contains__), expression.columns
    return ColumnMask(
        MaskMethod(mask["method"]),
        constant=mask["constant"],
        first=mask["first"],
        last=mask["last"],
        digits=mask["digits"],
        unit=RoundUnit(mask["unit"]),
        expression=sql,
        reads=reads,
    )


def _columns(platform: Platform, asset: str) -> list[str]:
    """Returns the columns of all versions of an asset. None if it has no version, and thus no rows."""
    try:
        return sorted(platform.part(open_column_names).of(asset))
    except UnknownTable:
        return []
