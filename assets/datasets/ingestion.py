"""Assets made from files: one file as a whole, or every file that lands in a folder."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.columns import described
from assets.datasets.sources import CsvSource, LandingSource, PackageSource, SourceFile, fetch
from core.errors import SchemaMismatch
from core.ids import asset_key
from lakehouse.delimited import Column
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.landing import Landed

LANDING_METADATA = "headwater/landing_pattern"
"""Definition metadata of a table fed by a landing folder; the sensors find such tables by it."""

_SETTLE_SECONDS = 1.0
_SHOWN_FAULTS = 3


def ingested_asset(
    spec: dg.AssetSpec,
    source: PackageSource | CsvSource,
    columns: Sequence[Column],
    descriptions: Mapping[str, str],
    null_values: Sequence[str],
    folder: Path | None,
) -> dg.AssetsDefinition:
    """A table that is one file as it is; a run replaces it wholly.

    Args:
        spec: the asset.
        source: the file.
        columns: declared columns in any order; empty to take what the file has.
        descriptions: column name to description.
        null_values: texts that stand for a missing value.
        folder: where a relative path is looked for besides the landing folder.
    """

    @dg.multi_asset(specs=[spec], name="__".join(spec.key.path))
    def ingest(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        settings = delta.settings()
        folders = [place for place in (folder, Path(settings.effective_landing_url)) if place is not None]
        file = fetch(source, folders, private_hosts=settings.private_sources)
        step = delta.step(context, params={"null_values": list(null_values)})
        step.use(f"file:{file.address}"[:200], f"sha256:{file.sha256}")
        rows = read_csv(file, columns, null_values)
        commit = step.overwrite(described(rows, descriptions), evolve_schema=True)
        return materialized(
            context,
            commit,
            metadata={
                "source/address": file.address,
                "source/sha256": file.sha256,
                "source/size_bytes": len(file.content),
            },
        )

    return ingest


def read_csv(file: SourceFile, columns: Sequence[Column], null_values: Sequence[str]) -> "pa.Table":
    """Reads a CSV file with a header, strictly by the declared columns, or with inferred types if there are none.

    Raises:
        SchemaMismatch: says which lines do not fit and why.
    """
    import polars as pl

    from lakehouse.delimited import LINE, parse

    if not columns:
        try:
            frame = pl.read_csv(file.content, null_values=list(null_values), infer_schema_length=None)
        except pl.exceptions.PolarsError as error:
            raise SchemaMismatch(f"{file.address} is no CSV file: {str(error).splitlines()[0]}") from error
        return frame.to_arrow()
    parsed = parse(file.content, columns, null_values=null_values)
    if parsed.rejected:
        first = "; ".join(f"line {item.line}: {item.reason}" for item in parsed.rejected[:_SHOWN_FAULTS])
        raise SchemaMismatch(
            f"{len(parsed.rejected)} lines of {file.address} do not fit the declared columns: {first}. Correct the "
            "file or the columns; a landing source would quarantine such lines instead."
        )
    return parsed.rows.drop(LINE).to_arrow()


def landed_assets(
    spec: dg.AssetSpec,
    source: LandingSource,
    columns: Sequence[Column],
    descriptions: Mapping[str, str],
    null_values: Sequence[str],
) -> dg.AssetsDefinition:
    """A table that grows by the files of its landing folder, and its quarantine."""
    from lakehouse.landing import quarantine_of

    table = ".".join(spec.key.path)
    quarantine = dg.AssetSpec(
        key=asset_key(quarantine_of(table)),
        description=f"Lines of landed files that became no row of `{table}`: the reason, the line, the raw text.",
        owners=spec.owners,
        group_name=spec.group_name,
        kinds={"delta", "csv"},
        code_version=spec.code_version,
    )

    @dg.multi_asset(specs=[spec, quarantine], name="__".join(spec.key.path))
    def land(context: dg.AssetExecutionContext, delta: Delta) -> Iterator[dg.MaterializeResult[Any]]:
        from lakehouse.landing import Landing, LandingRecord, candidates, folder_of, settled

        landing = Landing(
            table,
            columns,
            LandingRecord(delta.database()),
            lambda name: delta.step(context, asset=dg.AssetKey(asset_key(name))),
            delimiter=source.delimiter,
            null_values=null_values,
            descriptions=descriptions,
        )
        landing.prepare()
        folder = folder_of(delta.settings().effective_landing_url, table)
        folder.mkdir(parents=True, exist_ok=True)
        waiting = _waiting(delta, table, candidates(folder, source.pattern))
        landed = [result for file in settled(waiting, seconds=_SETTLE_SECONDS) if (result := landing.ingest(file))]
        for result in landed:
            context.log.info("%s: %d rows, %d quarantined", result.file, result.row_count, result.rejected_count)
        tables = delta.tables()
        yield materialized(context, tables.snapshot(table), metadata=_summary(landed, str(folder)))
        yield materialized(context, tables.snapshot(quarantine_of(table)), metadata=_summary(landed, str(folder)))

    return land


def _waiting(delta: Delta, table: str, found: Sequence[Any]) -> list[Any]:
    from lakehouse.landing import LandingRecord, digest

    digests = {file: digest(file.path) for file in found}
    known = LandingRecord(delta.database()).known(table, digests.values())
    return [file for file in found if digests[file] not in known]


def _summary(landed: Sequence["Landed"], folder: str) -> dict[str, Any]:
    return {
        "landing/folder": folder,
        "landing/files": len(landed),
        "landing/rows": sum(result.row_count for result in landed),
        "landing/quarantined_rows": sum(result.rejected_count for result in landed),
    }
