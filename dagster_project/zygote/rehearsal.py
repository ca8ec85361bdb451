"""A rehearsal: the zygote runs a trivial asset once, in a temporary folder, before it forks.

A first run imports fifty modules, compiles its SQL statements, and fills Dagster's caches. Every forked run inherits
the result.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import dagster as dg

from core.settings import Settings
from dagster_project import storage
from dagster_project.instance import write_instance
from dagster_project.internals import (
    EngineEventData,
    InstanceRef,
    ModuleCodePointer,
    ReconstructableRepository,
    capture_interrupts,
    core_execute_run,
)

_KEY = dg.AssetKey("rehearsal")


@dg.asset(key=_KEY)
def _rehearsal(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    context.log.info("rehearsing")
    tags = {"dagster/row_count": 0}
    return dg.MaterializeResult(metadata=tags, data_version=dg.DataVersion("rehearsal@0"))


@dg.asset_check(asset=_KEY)
def _rehearsal_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


defs = dg.Definitions(assets=[_rehearsal], asset_checks=[_rehearsal_check], executor=dg.in_process_executor)


def rehearse(settings: Settings) -> None:
    """Executes the asset like a run worker, and closes all connections."""
    with tempfile.TemporaryDirectory(prefix="headwater-rehearsal-") as folder:
        home = replace(settings, home=Path(folder), dagster_database_url="")
        write_instance(home)
        ref = InstanceRef.from_dir(str(home.dagster_home))
        with capture_interrupts(), dg.DagsterInstance.from_ref(ref) as instance:
            _run(instance)
        storage.close()


def _run(instance: dg.DagsterInstance) -> None:
    repository = ReconstructableRepository(ModuleCodePointer(__name__, "defs", str(Path.cwd())))
    job = repository.get_reconstructable_job("__ASSET_JOB").get_subset(asset_selection={_KEY})
    created = instance.create_run_for_job(
        job.get_definition(), asset_selection=frozenset({_KEY}), job_code_origin=job.get_python_origin()
    )
    run = instance.get_run_by_id(created.run_id)
    assert run is not None
    instance.report_engine_event("Rehearsing.", run, EngineEventData.in_process(0))
    for _ in core_execute_run(job, run, instance, inject_env_vars=False):
        pass
    instance.report_engine_event("Rehearsed.", run)
