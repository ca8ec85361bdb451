"""The composition root of the API side: its services, its mounts, and its background tasks."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.gateways.dagster_ui import DagsterUi
from api.gateways.mail import SmtpMailer
from api.gateways.publishing import DefinitionPublisher
from api.gateways.relays.relay import open_relay
from api.home import console, pages, reference
from api.kernel.application import Application
from api.kernel.breakers import Dependencies
from api.kernel.http import access_log
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.service import Service
from api.kernel.lake.row_access import TagReader, open_column_tags
from api.kernel.operations.messages import MessageReader, open_message_reader
from api.kernel.operations.service import SERVICE as OPERATIONS
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.platform import Platform
from api.protocols import (
    artifact_files,
    authzen,
    delta_sharing,
    feast,
    marquez,
    mlflow,
    oauth,
    oidc_login,
    openlineage,
    scim,
)
from api.protocols.delta_sharing.expiring import RestrictedFilesExpiry
from api.services.admin.logic import invitation_mail, password_mail
from api.services.admin.logic.audit_mirror import AuditMirror
from api.services.admin.service import SERVICE as ADMIN
from api.services.ai_catalog.logic import subscription_mail
from api.services.ai_catalog.logic.column_tags import column_tags
from api.services.ai_catalog.logic.lineage_loading import LineageLoading
from api.services.ai_catalog.logic.metric_mover import MetricMover
from api.services.ai_catalog.logic.publisher_rights import PublisherRights
from api.services.ai_catalog.logic.readable_tables import may_read_messages
from api.services.ai_catalog.logic.search_documents import open_feed
from api.services.ai_catalog.logic.served_values import ServedValues
from api.services.ai_catalog.logic.subscription_watch import SubscriptionWatch
from api.services.ai_catalog.logic.training_recorder import TrainingRecorder
from api.services.ai_catalog.service import SERVICE as AI_CATALOG
from api.services.ai_system.service import SERVICE as AI_SYSTEM
from api.services.connections.logic.health_watch import HealthWatch
from api.services.connections.service import SERVICE as CONNECTIONS
from api.services.rag.service import SERVICE as RAG
from core.db import Database
from core.errors import InvalidArgument
from core.ports import Orchestrator
from core.private import make_private
from core.publisher import Publisher
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

SERVICES: tuple[Service, ...] = (ADMIN, AI_CATALOG, AI_SYSTEM, CONNECTIONS, OPERATIONS, RAG)


def create_app(
    settings: Settings, *, orchestrator: Orchestrator | None = None, publisher: Publisher | None = None
) -> Application:
    """Returns the ASGI app of one process. By default, the orchestrator is the Dagster of the settings."""
    mailer = SmtpMailer.from_settings(settings)
    database = Database(settings.effective_database_url)
    if orchestrator is None:
        dagster = DagsterOrchestrator(DagsterClient.from_settings(settings))
        definitions = DefinitionPublisher(dagster.client, dagster, database, settings.environment())
        app = _assembled(Platform(settings, database, dagster, publisher or definitions, mailer))
        app.platform.part(Dependencies).add(dagster.client.dependency)
        app.add_background_task(dagster.start, dagster.stop)
        app.add_background_task(definitions.start, definitions.stop)
    else:
        app = _assembled(Platform(settings, database, orchestrator, publisher, mailer))
    if mailer is not None:
        app.platform.part(Dependencies).add(mailer.dependency)
    return app


def mounts() -> Sequence[Mount]:
    """Returns all mounts. It builds an app but starts nothing and writes nothing."""
    with tempfile.TemporaryDirectory() as home:
        app = create_app(load_settings({"HEADWATER_HOME": home}))
        app.platform.close()
    return app.registry.mounts


def _assembled(platform: Platform) -> Application:
    """Returns the app with services, pages, and the proxy of the Dagster UI."""
    tags: TagReader = column_tags
    platform.provide(open_column_tags, tags)
    reader: MessageReader = may_read_messages
    platform.provide(open_message_reader, reader)
    app = Application(platform, _selected(platform.settings.services), all_services=SERVICES)
    dagster_ui = DagsterUi(platform)
    for mount in (
        *pages.mounts(mails=platform.mailer is not None),
        *reference.mounts(app.registry.services),
        *console.mounts(platform.settings.path_prefix),
        *artifact_files.mounts(app),
        *authzen.mounts(platform),
        dagster_ui.mount(),
        *delta_sharing.mounts(app),
        *feast.mounts(app),
        *mlflow.mounts(app),
        *marquez.mounts(app),
        *oauth.mounts(app),
        *oidc_login.mounts(app),
        *openlineage.mounts(app),
        *scim.mounts(app),
    ):
        app.mount(mount)
    app.add_background_task(dagster_ui.start, dagster_ui.stop)
    subscribers = [*invitation_mail.LINKS.subscribers(platform), *password_mail.subscribers(platform)]
    subscribers += subscription_mail.subscribers(platform)
    if relay := open_relay(platform.settings):
        platform.part(Dependencies).add(relay.dependency)
        app.add_background_task(relay.start, relay.stop)
        subscribers.append(relay.subscriber)
    dispatcher = Dispatcher(platform, subscribers)
    app.add_background_task(dispatcher.start, dispatcher.stop)
    if platform.publisher is not None:
        rights = PublisherRights(platform, platform.publisher)
        app.add_background_task(rights.start, rights.stop)
    if AI_CATALOG in app.registry.services:
        feed = platform.part(open_feed)
        app.add_background_task(feed.start, feed.stop)
        recorder = TrainingRecorder(platform)
        app.add_background_task(recorder.start, recorder.stop)
        loading = LineageLoading(platform)
        app.add_background_task(loading.start, loading.stop)
        served = platform.part(ServedValues)
        app.add_background_task(served.start, served.stop)
        watch = SubscriptionWatch(platform)
        app.add_background_task(watch.start, watch.stop)
        expiry = RestrictedFilesExpiry(platform)
        app.add_background_task(expiry.start, expiry.stop)
        mover = MetricMover(platform)
        app.add_background_task(mover.start, mover.stop)
    if CONNECTIONS in app.registry.services:
        health = HealthWatch(platform)
        app.add_background_task(health.start, health.stop)
    mirror = AuditMirror(platform)
    app.add_background_task(mirror.start, mirror.stop)
    return app


def _selected(names: str) -> Sequence[Service]:
    """Returns the services with these names, or all. Operations are included, because each process follows its own."""
    selected = {name.strip().replace("-", "_") for name in names.split(",") if name.strip()}
    if not selected:
        return SERVICES
    if unknown := sorted(selected - {service.name for service in SERVICES}):
        available = ", ".join(service.name for service in SERVICES)
        raise InvalidArgument(f"There is no service {', '.join(unknown)}. The services are {available}.")
    return [service for service in SERVICES if service.name in selected or service is OPERATIONS]


def server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Returns the HTTP server of the public port."""
    import uvicorn

    from api.kernel.http.protocol import HttpProtocol

    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http=HttpProtocol,
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Any caller can write an address in a header, which would bypass the throttling of logins.
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            ssl_certfile=settings.tls_certfile or None,
            ssl_keyfile=settings.tls_keyfile or None,
        )
    )


def serve(app: Application, settings: Settings) -> None:
    """Serves an application until the process is terminated."""
    # The objects that exist now live as long as the process. A collection of them would stop all requests for 100 ms.
    gc.collect()
    gc.freeze()
    server(app, settings).run()


def main() -> None:
    """Serves the API on the public port until the process is terminated."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log a line for each probe of the graph
    access_log.write_to()
    make_private(settings.home)
    serve(create_app(settings), settings)


if __name__ == "__main__":
    main()
