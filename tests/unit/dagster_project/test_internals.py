"""The contract with Dagster's private API. When an upgrade breaks it, read what changed before adapting."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version
from pathlib import Path

import dagster as dg

from dagster_project import internals
from dagster_project.internals import (
    ConsolidatedSqliteEventLogStorage,
    DefsStateInfo,
    DefsStateStorage,
    LocalComputeLogManager,
    ReconstructableRepository,
    RepositoryLoadData,
    SqliteRunStorage,
    SqliteScheduleStorage,
    core_execute_run,
)

ROOT = Path(__file__).parents[3]


def test_the_version_this_contract_was_read_for() -> None:
    assert version("dagster") == "1.13.27"


def test_nothing_else_of_ours_imports_private_dagster_modules() -> None:
    offenders = []
    for package in ("dagster_project", "assets", "jobs", "resources"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "internals.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                if module and module.startswith("dagster._"):
                    offenders.append(f"{path.relative_to(ROOT)}: {module}")
    assert offenders == []


def test_every_name_is_there() -> None:
    assert all(hasattr(internals, name) for name in internals.__all__)


class TestStorages:
    """`storage.py` replaces how these classes connect; they must still connect there and nowhere else."""

    def test_run_and_schedule_storage_connect_by_one_method(self) -> None:
        for kind in (SqliteRunStorage, SqliteScheduleStorage):
            assert list(inspect.signature(kind.connect).parameters) == ["self"]
            assert list(inspect.signature(kind.from_local).parameters) == ["base_dir", "inst_data"]
            assert list(inspect.signature(kind.__init__).parameters) == ["self", "conn_string", "inst_data"]

    def test_event_log_storage_connects_by_one_method_except_to_look_for_tables(self) -> None:
        source = inspect.getsource(ConsolidatedSqliteEventLogStorage)
        creating = [name for name in ("_init_db", "_connect", "has_table") if f"def {name}" in source]
        assert source.count("create_engine(") == len(creating) == 3
        assert "_conn_string" in inspect.getsource(ConsolidatedSqliteEventLogStorage.__init__)

    def test_log_manager_captures_by_one_method(self) -> None:
        assert list(inspect.signature(LocalComputeLogManager.capture_logs).parameters) == ["self", "log_key"]
        assert "touch_file(self.complete_artifact_path(log_key))" in inspect.getsource(LocalComputeLogManager)
        assert LocalComputeLogManager("/x").get_captured_local_path(["r", "s"], "complete") == str(
            LocalComputeLogManager("/x").complete_artifact_path(["r", "s"])  # type: ignore[no-untyped-call]
        )


class TestExecution:
    """`zygote.children` executes a run as Dagster's own run worker does."""

    def test_core_execute_run(self) -> None:
        parameters = list(inspect.signature(core_execute_run).parameters)
        assert parameters == ["recon_job", "dagster_run", "instance", "inject_env_vars", "resume_from_failure"]

    def test_a_run_is_rebuilt_from_the_state_it_was_planned_with(self) -> None:
        assert "with_repository_load_data" in inspect.getsource(core_execute_run)
        assert "defs_state_info" in RepositoryLoadData._fields
        assert DefsStateInfo.empty().info_mapping == {}

    def test_a_repository_found_under_the_attribute_is_taken_as_it_is(self) -> None:
        source = inspect.getsource(ReconstructableRepository.get_definition)
        assert "reconstruct_repository_def_from_pointer" in source

    def test_state_storage_has_four_methods_to_fill_in(self) -> None:
        assert DefsStateStorage.__abstractmethods__ == {
            "get_latest_defs_state_info",
            "download_state_to_path",
            "upload_state_from_path",
            "set_latest_version",
        }


class TestPublishedState:
    """`internals.load_state` and the component tree of `dagster_project.projects`."""

    def test_a_code_server_swaps_its_definitions_or_keeps_them(self) -> None:
        from dagster._grpc.server import DagsterApiServer

        source = inspect.getsource(DagsterApiServer.ReloadCodeWithState)
        assert "component_tree.reload_with_state(changed_state_keys)" in source
        assert "self._server_id = str(uuid.uuid4())" in source
        swap, failure = source.index("update_repo_defs("), source.index("except Exception")
        assert swap < failure

    def test_webserver_and_daemon_watch_the_servers_id(self) -> None:
        from dagster._grpc import server_watcher

        assert server_watcher.WATCH_INTERVAL == 1

    def test_a_changed_state_key_rebuilds_what_was_marked_with_it(self) -> None:
        parameters = list(inspect.signature(dg.ComponentTree.mark_component_defs_state_key).parameters)
        assert parameters == ["self", "loc", "defs_state_key"]
        source = inspect.getsource(dg.ComponentTree.reload_with_state)
        assert "invalidate_by_defs_state_key(key)" in source

    def test_a_load_knows_the_keys_it_is_pinned_to(self) -> None:
        assert callable(internals.DefinitionsLoadContext.state_keys_with_prefix)


class TestQueue:
    """`coordinator` stays a queue the daemon recognises, and launches as the daemon does."""

    def test_the_daemon_asks_for_the_class(self) -> None:
        from dagster._core.instance.methods import daemon_methods

        assert "isinstance(self.run_coordinator, QueuedRunCoordinator)" in inspect.getsource(daemon_methods)

    def test_the_daemon_launches_by_the_launcher_and_requeues_by_an_event(self) -> None:
        from dagster._daemon.run_coordinator import queued_run_coordinator_daemon

        source = inspect.getsource(queued_run_coordinator_daemon)
        assert "instance.run_launcher.launch_run(LaunchRunContext(" in source
        assert "DagsterEvent.job_enqueue(run)" in source

    def test_submit_and_launch_contexts(self) -> None:
        assert internals.SubmitRunContext._fields == ("dagster_run", "workspace")
        assert internals.LaunchRunContext._fields == ("dagster_run", "workspace")
        assert {status.value for status in internals.ACTIVE_RUN_STATUSES} == {"STARTING", "STARTED", "CANCELING"}

    def test_run_monitoring_asks_the_launcher(self) -> None:
        from dagster._daemon.monitoring import run_monitoring

        source = inspect.getsource(run_monitoring)
        assert "check_run_worker_health(run)" in source
        assert "get_run_worker_debug_info(run)" in source
