"""Assets with the content of files: of a single file, or of every file that lands in a folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.columns import described
from assets.datasets.sources import CsvSource, LandingSource, PackageSource, fetch
from assets.step_checks import StepCheck, checked_asset
from core.errors import (
    InvalidPayload,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    StorageFull,
    TableDamaged,
    Unavailable,
    WriteConflict,
)
from core.ids import asset_key
from lakehouse.delimited import Column
from lakehouse.files.reading import read_table
from lakehouse.landing_areas import project_area, repository_area
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    from lakehouse.landing import Landing
    from lakehouse.landing_files import LandingFile
    from lakehouse.landing_record import Landed

LANDING_METADATA = "headwater/landing_pattern"
"""Definition metadata of a table with a landing folder. The sensors find these tables by it."""

_SETTLE_SECONDS = 1.0


def ingested_asset(
    spec: dg.AssetSpec,
    source: PackageSource | CsvSource,
    columns: Sequence[Column],
    descriptions: Mapping[str, str],
    null_values: Sequence[str],
    folder: Path | None,
    checks: Sequence[StepCheck],
) -> dg.AssetsDefinition:
    """Returns an asset with the content of one file. A run replaces the table.

    Args:
        spec: the asset.
        source: the file.
        columns: declared columns in any order; empty to use the columns of the file.
        descriptions: description by column name.
        null_values: texts that represent a missing value.
        folder: the folder, in addition to the landing area, in which a relative path is resolved.
        checks: checks of the table that the step evaluates.
    """
    options = source.options(null_values)

    @checked_asset(specs=[spec], checks=checks, name="__".join(spec.key.path))
    def ingest(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        settings = delta.settings()
        areas = [project_area(settings.effective_landing_url, spec.key.path[0])]
        if folder is not None:
            areas.insert(0, repository_area(folder, settings))
        file = fetch(source, areas, private_hosts=settings.private_sources)
        step = delta.step(context, params=asdict(options))
        step.use(f"file:{file.address}"[:200], f"sha256:{file.sha256}")
        rows = read_table(file.content, file.address, columns, options)
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


def landed_assets(
    spec: dg.AssetSpec,
    source: LandingSource,
    columns: Sequence[Column],
    descriptions: Mapping[str, str],
    null_values: Sequence[str],
    checks: Sequence[StepCheck],
) -> dg.AssetsDefinition:
    """Returns a table with the rows of the files in its landing folder, and its quarantine. `checks` are of both."""
    from lakehouse.comparison import COMPARISON_KEY
    from lakehouse.landing import LANDED_ROWS, quarantine_table

    table = ".".join(spec.key.path)
    quarantine = dg.AssetSpec(
        key=asset_key(quarantine_table(table)),
        description=f"Lines of landed files that are not rows of `{table}`, each with its reason and raw text.",
        owners=spec.owners,
        group_name=spec.group_name,
        kinds=spec.kinds,
        code_version=spec.code_version,
        metadata={COMPARISON_KEY: LANDED_ROWS.to_json()},
    )

    @checked_asset(specs=[spec, quarantine], checks=checks, name="__".join(spec.key.path))
    def land(context: dg.AssetExecutionContext, delta: Delta) -> Iterator[dg.MaterializeResult[Any]]:

        from lakehouse.landing import Landing
        from lakehouse.landing_files import landing_files, landing_folder, unchanged_files
        from lakehouse.landing_record import LandingRecord

        plan = delta.plan()
        landing = Landing(
            table,
            columns,
            LandingRecord(delta.database()) if plan is None else None,
            lambda name: delta.step(context, asset=dg.AssetKey(asset_key(name))),
            options=source.options(null_values),
            descriptions=descriptions,
        )
        landing.prepare()
        landing_url = delta.settings().effective_landing_url
        ingestion = _Ingestion(folder=str(landing_folder(landing_url, table)))
        files = landing_files(landing_url, table, source.pattern)
        if plan is None:
            pending = _pending(delta, table, files, ingestion)
        else:
            pending = files if plan.files is None else _recorded(files, plan.files)
        for file in unchanged_files(pending, seconds=_SETTLE_SECONDS):
            ingestion.ingest(file, landing)
        ingestion.log(context)
        tables = delta.tables()
        yield materialized(context, tables.snapshot(table), metadata=ingestion.summary())
        yield materialized(context, tables.snapshot(quarantine_table(table)), metadata=ingestion.summary())
        if ingestion.failed:
            # Raised after the materializations, so that downstream assets see the rows of the other files.
            name, error = next(iter(ingestion.failed.items()))
            raise InvalidPayload(
                f"{len(ingestion.failed)} files could not be ingested, such as {name}: {error}"
            ) from error

    return land


@dataclass
class _Ingestion:
    """Results of the files of one run. A file that cannot be ingested does not affect other files."""

    folder: str
    landed: list["Landed"] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)

    def ingest(self, file: "LandingFile", landing: "Landing") -> None:
        """Ingests a file, or records why it cannot be ingested."""
        try:
            result = landing.ingest(file)
        except (StorageFull, Unavailable, WriteConflict, TableDamaged):
            raise  # every other file would fail as well
        except (PermissionDenied, PayloadTooLarge) as error:
            self.skipped[file.display_name] = error.detail
        except Exception as error:  # noqa: BLE001 - a fault of one file affects that file only
            self.failed[file.display_name] = error
        else:
            self.landed += [result] if result else []

    def log(self, context: dg.AssetExecutionContext) -> None:
        """Logs the result of each file."""
        for result in self.landed:
            context.log.info("%s: %d rows, %d quarantined", result.file, result.row_count, result.rejected_count)
        for name, reason in {**self.skipped, **self.failed}.items():
            context.log.warning("%s is skipped: %s", name, reason)

    def summary(self) -> dict[str, Any]:
        """Returns the results as metadata of the materialization."""
        counts = {
            "landing/folder": self.folder,
            "landing/files": len(self.landed),
            "landing/rows": sum(result.row_count for result in self.landed),
            "landing/quarantined_rows": sum(result.rejected_count for result in self.landed),
        }
        skipped = self.skipped | {name: str(error) for name, error in self.failed.items()}
        return counts | ({"landing/left_aside": dg.JsonMetadataValue(skipped)} if skipped else {})


def _recorded(files: Sequence["LandingFile"], digests: Mapping[str, str]) -> list["LandingFile"]:
    """Returns the files that a version was made from.

    Raises:
        NotFound: one was removed or changed.
    """
    from lakehouse.landing_files import named_files

    found, missing = named_files(files, digests)
    if missing:
        raise NotFound(f"{missing[0].removeprefix('file:')} was removed from the landing folder, or changed.")
    return found


def _pending(delta: Delta, table: str, files: Sequence["LandingFile"], ingestion: _Ingestion) -> list["LandingFile"]:
    """Returns the readable files whose content is not in the table."""
    from lakehouse.landing_record import LandingRecord

    digests: dict[LandingFile, str] = {}
    for file in files:
        try:
            digests[file] = file.digest()
        except NotFound:
            continue
        except (PermissionDenied, PayloadTooLarge) as error:
            ingestion.skipped[file.display_name] = error.detail
    ingested = LandingRecord(delta.database()).ingested(table, digests.values())
    return [file for file, checksum in digests.items() if checksum not in ingested]
