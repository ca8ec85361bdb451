"""The doors to the rows of a table: each operation that returns rows or values, with what it needs to be asked."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from api.kernel.platform import open_lineage
from api.services.ai_catalog.logic.feature_views import open_online_store
from core import clock
from core.ports import CheckStatus
from core.reports import CheckEvaluation, ReportedValue, ValueForm, VersionReport
from core.runs import RunStatus, StepState, StepStatus
from features.online import serving
from features.rows import ViewColumns, microseconds, read_rows
from lakehouse import branch_records
from lakehouse.branches import BranchTables
from rag.chunking import Chunker, Document
from rag.corpus import build, write
from rag.embedding import WordLlamaEmbedder
from rag.index import Index
from rag.layout import Store
from tests.api.admin.tenants import made
from tests.api.ai_catalog.pipelines import published, started
from tests.api.ai_catalog.policies import ONLINE, PEOPLE, SECRETS, Office, people
from tests.api.ai_catalog.provenance_tables import step
from tests.api.ai_catalog.test_evaluations import evaluation, ran
from tests.api.ai_catalog.test_runs import experiment
from tests.api.ai_catalog.traces import span, trace
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project
from tests.api_process import Caller
from tests.lineage_events import RUN, dataset, event, facet, version
from tests.orchestration import FakeOrchestrator, node
from tests.orchestration import made as materialized

ASSET = f"ai-catalog/assets/{PEOPLE}"
ARROW = {"accept": "application/vnd.apache.arrow.stream"}
MAIL = b"secret-mail-ada"
HIDDEN = b"4242"
ERROR = "could not convert secret-mail-ada"
SET, INDEX, COPY = "flights.training.people", "flights.index.mails", "flights.gold.copy"


@dataclass(frozen=True)
class Answer:
    """The status, the bytes, and the reason of a refusal."""

    status: int
    content: bytes
    detail: str = ""

    @property
    def leaked(self) -> list[bytes]:
        return [secret for secret in SECRETS if secret in self.content]


Ask = Callable[[Caller], Awaitable[Answer]]
Prepare = Callable[[Office], Awaitable[Ask]]


@dataclass(frozen=True)
class Door:
    """A door.

    Args:
        prepare: makes what it needs, and returns how a caller asks.
        evidence: what an unrestricted reader gets: a value of the masked column, the hidden row, or a fact of them.
        applies: whether a restricted reader gets an answer without what is hidden. Otherwise it is refused.
        refusal: status and text of the refusal.
        hides: what the policy hides, if it is not the mails and the row of `people`.
    """

    prepare: Prepare
    evidence: bytes
    applies: bool
    refusal: tuple[int, str]
    hides: dict[str, Any]


DOORS: dict[str, Door] = {}
POLICY = (403, "policy restricts")


def door(
    name: str,
    evidence: bytes = MAIL,
    *,
    applies: bool = False,
    refusal: tuple[int, str] = POLICY,
    hides: dict[str, Any] | None = None,
) -> Callable[[Prepare], Prepare]:
    def add(prepare: Prepare) -> Prepare:
        DOORS[name] = Door(prepare, evidence, applies, refusal, hides or {})
        return prepare

    return add


def asking(method: str, path: str | Callable[[], str], body: Any = None, headers: dict[str, str] | None = None) -> Ask:
    """Asks one operation. A path or body that is a function is made for each request."""

    async def ask(caller: Caller) -> Answer:
        target, content = (one() if callable(one) else one for one in (path, body))
        further = {"json": content} if content is not None else {}
        reply = await caller(method, target, headers=headers or {}, **further)
        detail = reply.json.get("detail", "") if reply.status >= 400 else ""
        errors = reply.json.get("errors", "") if reply.status >= 400 else ""
        return Answer(reply.status, reply.response.content, f"{detail} {errors}")

    return ask


def mounted(method: str, path: str, **options: Any) -> Ask:
    """Asks a path outside of the API."""

    async def ask(caller: Caller) -> Answer:
        response = await caller.http.request(method, path, **options)
        return Answer(response.status_code, response.content, response.text if response.status_code >= 400 else "")

    return ask


def numbered() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda text: f"{text}{next(numbers)}"


def fake(office: Office) -> FakeOrchestrator:
    orchestrator = office.api.app.platform.orchestrator
    assert isinstance(orchestrator, FakeOrchestrator)
    return orchestrator


def _plain(name: str, method: str, path: str, body: Any = None, **options: Any) -> None:
    headers = options.pop("headers", None)

    @door(name, **options)
    async def prepare(office: Office) -> Ask:
        return asking(method, path, body, headers)


SQL = {"sql": f"SELECT * FROM {PEOPLE}"}
_plain("preview", "GET", f"{ASSET}/preview", applies=True)
_plain("preview in Arrow", "GET", f"{ASSET}/preview", applies=True, headers=ARROW)
_plain("query", "POST", "ai-catalog/queries:run", SQL, applies=True)
_plain("query in Arrow", "POST", "ai-catalog/queries:run", SQL, applies=True, headers=ARROW)
_plain("profile", "GET", f"{ASSET}/profile", applies=True)
_plain("difference", "GET", f"{ASSET}/diff", evidence=b"secret-mail-dan", applies=True)
_plain("split", "GET", f"{ASSET}/split?split=train&by=seen_at")


@door("rows of a data set")
async def data(office: Office) -> Ask:
    described = await made(office.api.admin.post("ai-catalog/datasets", {"asset": PEOPLE, "title": "People"}))
    return asking("GET", f"ai-catalog/datasets/{described['id']}/data")


async def _branch(office: Office) -> str:
    """A branch in which a step wrote the table again."""
    body = {"project_id": "flights", "name": "trial", "versions": {PEOPLE: "0"}}
    id = str((await made(office.api.admin.post("ai-catalog/branches", body)))["id"])
    row = branch_records.find(office.api.database, id)
    assert row is not None
    view = BranchTables(office.tables, branch_records.plan_of(row, PEOPLE))
    view.start()
    one = step(view, office.api.app.platform.part(open_lineage), PEOPLE, "run-b")
    one.overwrite(people((5, "secret-mail-eli", "DE")))
    produced = {PEOPLE: {"run": "run-b", "version": view.snapshot(PEOPLE).data_version, "checks": {}}}
    branch_records.record(office.api.database, id, produced)
    return id


@door("preview of a branch", b"secret-mail-eli", applies=True)
async def branch_preview(office: Office) -> Ask:
    return asking("GET", f"{ASSET}/preview?branch={await _branch(office)}")


@door("query of a branch", b"secret-mail-eli", applies=True)
async def branch_query(office: Office) -> Ask:
    return asking("POST", "ai-catalog/queries:run", SQL | {"branch": await _branch(office)})


@door("difference of a branch", b"secret-mail-eli")
async def branch_diff(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/branches/{await _branch(office)}/diff?asset={PEOPLE}")


@door("new branch", PEOPLE.encode(), refusal=(404, "no asset"))
async def branch(office: Office) -> Ask:
    name = numbered()
    return asking(
        "POST",
        "ai-catalog/branches",
        lambda: {"project_id": "flights", "name": name("trial"), "versions": {PEOPLE: "0"}},
    )


@door("publication of a definition", COPY.encode(), refusal=(422, "reads"))
async def definition(office: Office) -> Ask:
    attributes = {"asset": COPY, "sql": f"SELECT * FROM {PEOPLE}", "reads": [PEOPLE]}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    await made(office.ada.post("ai-catalog/definitions", body))
    return asking("POST", f"ai-catalog/definitions/{COPY}:publish", {})


@door("state of a contract", b"3 of 4 rows")
async def contract(office: Office) -> Ask:
    rule = {"name": "few", "range": {"column": "visits", "max": 1}}
    body = {"asset": PEOPLE, "contact": "team:data", "terms": {"rules": [rule]}}
    id = (await made(office.api.admin.post("ai-catalog/contracts", body)))["id"]
    return asking("GET", f"ai-catalog/contracts/{id}/status")


@door("new contract", PEOPLE.encode())
async def new_contract(office: Office) -> Ask:
    return asking("POST", "ai-catalog/contracts?validate_only=true", {"asset": PEOPLE, "contact": "x", "terms": {}})


@door("table in a share", PEOPLE.encode())
async def share(office: Office) -> Ask:
    body = {"name": "partners", "project_id": "flights", "spec": {"title": "Partners"}}
    id = (await made(office.api.admin.post("ai-catalog/shares", body)))["id"]
    return asking("POST", f"ai-catalog/shares/{id}:add-object?validate_only=true", {"asset": PEOPLE})


async def _view(office: Office) -> str:
    """A feature view over the table, served online, with a pushed row. Returns the service of it."""
    place, admin = {"project_id": "flights"}, office.api.admin
    entity = {"title": "Person", "keys": [{"name": "person", "type": "INTEGER"}]}
    await made(admin.post("ai-catalog/entities", {"name": "person", "spec": entity, **place}))
    spec = {"entity_id": "person", "asset": PEOPLE, "online_asset": ONLINE, "keys": {"person": "id"}}
    spec |= {"title": "People", "timestamp": "seen_at"}
    await made(admin.post("ai-catalog/feature-views", {"name": "people", "spec": spec, **place}))
    snapshot = office.tables.snapshot(PEOPLE)
    served = serving(
        read_rows(snapshot, ViewColumns(("id",), "seen_at", ("mail", "region", "visits"))),
        table=PEOPLE,
        table_id=snapshot.table_id,
        table_version=snapshot.version,
        as_of=microseconds(clock.now()),
    )
    assert office.api.app.platform.part(open_online_store).write(ONLINE, served.served, served.batches)
    spec = {"title": "Churn", "views": [{"view_id": "people"}]}
    return str((await made(admin.post("ai-catalog/feature-services", {"name": "churn", "spec": spec, **place})))["id"])


AT = {"at": ["2026-04-01T00:00:00Z"]}


@door("features of a view at a time")
async def view_preview(office: Office) -> Ask:
    await _view(office)
    return asking("POST", "ai-catalog/feature-views/people:preview", {"entities": [{"person": 1}], **AT})


@door("statistics of features", HIDDEN)
async def statistics(office: Office) -> Ask:
    await _view(office)
    return asking("GET", "ai-catalog/feature-views/people/statistics")


@door("drift of features", b"visits")
async def drift(office: Office) -> Ask:
    await _view(office)
    return asking("GET", "ai-catalog/feature-views/people/drift?before=0&after=1&features=visits")


@door("skew of features", b"visits")
async def skew(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/feature-services/{await _view(office)}/skew")


@door("features now")
async def online(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await _view(office)}:online-get"
    return asking("POST", path, {"entities": [{"person": 1}]})


@door("pushed features", b"secret-mail-new")
async def pushed(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await _view(office)}:online-get"
    row = {"person": 1, "seen_at": "2026-03-02T00:00:00Z", "mail": "secret-mail-new", "visits": 2.0}
    await made(office.api.admin.post("ai-catalog/feature-views/people:push", {"rows": [row], "source": "clicks"}))
    return asking("POST", path, {"entities": [{"person": 1}]})


@door("features in the past")
async def historical(office: Office) -> Ask:
    path = f"ai-catalog/feature-services/{await _view(office)}:historical"
    return asking("POST", path, {"entities": [{"person": 1}], **AT})


@door("features for Feast")
async def feast(office: Office) -> Ask:
    await _view(office)
    body = {"features": ["people:mail"], "entities": {"person": [1]}}
    return mounted("POST", "/feast/flights/get-online-features", json=body)


async def _training_set(office: Office) -> None:
    fake(office).nodes[SET] = node(SET, [PEOPLE], kinds=("delta", "polars", "training-set"))
    one = step(office.tables, office.api.app.platform.part(open_lineage), SET, "run-t")
    one.read(PEOPLE)
    rows = people()
    one.overwrite(rows.append_column("split", pa.array(["train"] * rows.num_rows)))


@door("examples of a training set")
async def examples(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/training-sets/{SET}/examples?split=train")


@door("version of a training set", b"train")
async def training_version(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/training-sets/{SET}/version")


@door("attestation", SET.encode())
async def attestation(office: Office) -> Ask:
    await _training_set(office)
    return asking("POST", "ai-catalog/attestations", {"asset": SET})


@door("plan of a reproduction", PEOPLE.encode(), refusal=(403, "permission"))
async def reproduction(office: Office) -> Ask:
    await _training_set(office)
    return asking("GET", f"ai-catalog/assets/{SET}/reproduce-plan")


@door("search of an index")
async def search(office: Office) -> Ask:
    fake(office).nodes[INDEX] = node(INDEX, [PEOPLE], kinds=("delta", "lancedb"))
    platform, embedder = office.api.app.platform, WordLlamaEmbedder()
    one = step(office.tables, platform.part(open_lineage), INDEX, "run-i")
    one.read(PEOPLE)
    pages = [
        Document("mails.md", "Mails", "# Mails\n\nThe mail of Ada is secret-mail-ada, and Ada lives in Germany.\n", {})
    ]
    snapshot = write(one, build(pages, Chunker(900, embedder.digest), embedder, None))
    Index(Store(platform.settings.effective_vectors_url), INDEX).sync(snapshot)
    return asking("POST", f"rag/indexes/{INDEX}:search", {"query": "mail of Ada"})


@door("spans of a trace", refusal=(403, "permission"))
async def spans(office: Office) -> Ask:
    await _training_set(office)
    attributes = {
        "headwater.reads": f"{PEOPLE}@{office.tables.snapshot(PEOPLE).data_version}",
        "mlflow.spanInputs": MAIL.decode(),
    }
    one = await trace(office.api, span(1, attributes=attributes), experiment_id=await experiment(office.api))
    assert one["reads"], "the trace names the table"
    return asking("GET", f"ai-catalog/traces/{one['id']}/spans")


def _checked(office: Office) -> None:
    """A run that reported values of rows in a message of a check and in metadata."""
    state = fake(office).states[PEOPLE]
    check = dataclasses.replace(state.checks[1], status=CheckStatus.FAILED, message="Wrong: secret-mail-ada")
    reported = materialized("def@4", **{"delta/version": 4, "most frequent": "secret-mail-ada", "max_id": 4242})
    fake(office).states[PEOPLE] = dataclasses.replace(state, checks=(check,), materialization=reported)


@door("checks and metadata of an asset", applies=True)
async def asset(office: Office) -> Ask:
    _checked(office)
    return asking("GET", ASSET)


@door("checks and metadata of assets", applies=True)
async def assets(office: Office) -> Ask:
    _checked(office)
    return asking("GET", "ai-catalog/assets")


@door("report of an asset", applies=True)
async def report(office: Office) -> Ask:
    value = ReportedValue("most frequent", ValueForm.TEXT, MAIL.decode())
    fake(office).reports[PEOPLE] = VersionReport("def@4", clock.now(), "run-0", (value,))
    return asking("GET", f"{ASSET}/report")


@door("evaluations of a check", applies=True)
async def evaluations(office: Office) -> Ask:
    sample = ReportedValue("sample", ValueForm.TABLE, [{"mail": MAIL.decode()}])
    evaluated = CheckEvaluation(CheckStatus.FAILED, clock.now(), "run-0", "def@4", ERROR, (sample,))
    fake(office).evaluated[PEOPLE, "plausible"] = [evaluated]
    return asking("GET", f"{ASSET}/evaluations?check=plausible")


async def _failed(office: Office, asset: str = PEOPLE) -> str:
    """An operation whose run failed with a value in its error and its log."""
    reply = await office.api.admin.post(f"ai-catalog/assets/{asset}:materialize", {})
    assert reply.status == 202, reply.response.text
    (run,) = fake(office).run_states
    fake(office).log(run, ERROR)
    fake(office).end(run, RunStatus.FAILED, error=ERROR)
    return str(reply.json["id"])


@door("error of an operation", applies=True)
async def failure(office: Office) -> Ask:
    return asking("GET", f"operations/{await _failed(office)}")


MAILS = {"assets": [PEOPLE], "masks": [{"column": "mail", "method": "NULL"}]}
"""The policy covers no table that is made from the people."""


@door("error of an operation that reads the table", applies=True, hides=MAILS)
async def failure_of_a_copy(office: Office) -> Ask:
    fake(office).nodes[COPY] = node(COPY, [PEOPLE])
    return asking("GET", f"operations/{await _failed(office, COPY)}")


@door("errors of operations", applies=True)
async def failures(office: Office) -> Ask:
    id = await _failed(office)
    await made(office.api.admin.get(f"operations/{id}"))  # observes the end
    return asking("GET", "operations")


@door("audit log", b"operations.operation.failed", applies=True)
async def audit(office: Office) -> Ask:
    await made(office.api.admin.get(f"operations/{await _failed(office)}"))  # observes the end
    return asking("GET", "admin/audit-events")


@door("log of an operation", applies=True)
async def log(office: Office) -> Ask:
    return asking("GET", f"operations/{await _failed(office)}/logs")


async def _pipeline_run(office: Office) -> str:
    orchestrator = fake(office)
    orchestrator.nodes[COPY] = node(COPY, [PEOPLE], location="published")
    office.tables.overwrite(COPY, people())
    await started(office.api.editor, (await published(office.api, assets=[COPY]))["id"])
    (run,) = orchestrator.run_states
    orchestrator.step_states[run] = [StepState(COPY.replace(".", "__"), StepStatus.FAILED, error=ERROR)]
    orchestrator.log(run, ERROR)
    orchestrator.end(run, RunStatus.FAILED, error=ERROR)
    return run


@door("errors of the steps of a pipeline", applies=True)
async def pipeline_steps(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/pipeline-runs/{await _pipeline_run(office)}/steps")


@door("log of a pipeline", refusal=(403, "ai_catalog.asset.preview"))
async def pipeline_log(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/pipeline-runs/{await _pipeline_run(office)}/logs")


async def _events(office: Office) -> None:
    """Events of another system that wrote the table: statistics of a column, and an error with a value."""
    metrics = facet("DataQualityMetrics", columnMetrics={"mail": {"max": MAIL.decode(), "min": 4242}})
    named = dataset("file", office.tables.uri(PEOPLE), dataQualityMetrics=metrics, **version("1"))
    named["outputFacets"] = {"dataQualityMetrics": metrics, "outputStatistics": facet("Statistics", rowCount=4)}
    message = facet("ErrorMessage", message=f"wrong: {MAIL.decode()}", programmingLanguage="JAVA")
    run = {"runId": RUN, "facets": {"errorMessage": message}}
    first = event("START", run=run, outputs=[named])
    last = event("FAIL", 9, run=run)
    for one in (first, last):
        await made(office.api.admin.post("ai-catalog/lineage-events", {"event": one, "project_id": "flights"}))
    (known,) = (await made(office.api.admin.get("ai-catalog/external-datasets")))["items"]
    assert known["asset"] == PEOPLE, "the event is about the table"


def _of_events(name: str, path: str) -> None:
    @door(name, applies=True)
    async def prepare(office: Office) -> Ask:
        await _events(office)
        if "{run}" in path:
            (run,) = (await made(office.api.admin.get("ai-catalog/external-runs")))["items"]
            return asking("GET", path.replace("{run}", run["id"]))
        return mounted("GET", path) if path.startswith("/") else asking("GET", path)


_of_events("lineage events", "ai-catalog/lineage-events")
_of_events("external data sets", "ai-catalog/external-datasets")
_of_events("external runs", "ai-catalog/external-runs")
_of_events("data sets of an external run", "ai-catalog/external-runs/{run}/datasets")
_of_events("events in Marquez", "/marquez/api/v1/events/lineage")
_of_events("data sets in Marquez", f"/marquez/api/v1/namespaces/headwater/datasets/{PEOPLE}")
_of_events("runs in Marquez", f"/marquez/api/v1/jobs/runs/{RUN}")


PULSE = {"assets": [FEATURES], "masks": [{"column": "pulse", "method": "NULL"}]}
"""Of the features of a model, one is masked."""

PREDICT = f"ai-system/models/{MODEL}:predict"


async def _trained(office: Office) -> Trainings:
    await project(office.api)
    trainings = Trainings(office.api, fake(office))
    trainings.train(1)
    trainings.recorder.catch_up()
    return trainings


def _predicted(name: str, instance: dict[str, Any], evidence: bytes = b"probability") -> None:
    @door(name, evidence, refusal=(403, "made from tables"), hides=PULSE)
    async def prepare(office: Office) -> Ask:
        await _trained(office)
        return asking("POST", PREDICT, {"instances": [instance], "explain": True})


_predicted("prediction for a key", {"visit": "v1"})
_predicted("prediction for given inputs", {"age": 50, "dose": 1.0, "pulse": 70})


@door("ranges of the inputs of a model", b"101.364", applies=True, hides=PULSE)
async def ranges(office: Office) -> Ask:
    await _trained(office)
    return asking("GET", f"ai-system/models/{MODEL}")


@door("results of an evaluation", b"probability", hides=PULSE)
async def results(office: Office) -> Ask:
    await _trained(office)
    (one,) = await listed(office.api, "model-versions")
    run = await ran(office.api, await evaluation(office.api), one["id"])
    return asking("GET", f"ai-catalog/evaluation-runs/{run['id']}/report")
