"""The composition root of the HTTP side: which services there are, what stands beside them, who talks to whom."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.gateways.dagster import DagsterClient, DagsterOrchestrator
from api.gateways.dagster_ui import DagsterUi
from api.gateways.mail import SmtpMailer
from api.gateways.publishing import DefinitionPublisher
from api.gateways.relays.relay import open_relay
from api.home import pages, reference
from api.kernel.application import Application
from api.kernel.breakers import Dependencies
from api.kernel.http import access_log
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.service import Service
from api.kernel.operations.service import SERVICE as OPERATIONS
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.platform import Platform
from api.protocols import authzen, oauth, oidc_login, scim
from api.services.admin.logic import invitation_mail, password_mail
from api.services.admin.logic.audit_mirror import AuditMirror
from api.services.admin.service import SERVICE as ADMIN
from api.services.ai_catalog.logic.publisher_rights import PublisherRights
from api.services.ai_catalog.service import SERVICE as AI_CATALOG
from api.services.ai_system.service import SERVICE as AI_SYSTEM
from api.services.rag.service import SERVICE as RAG
from core.db import Database
from core.errors import InvalidArgument
from core.ports import Orchestrator, Publisher
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

SERVICES: tuple[Service, ...] = (ADMIN, AI_CATALOG, AI_SYSTEM, OPERATIONS, RAG)


def create_app(
    settings: Settings, *, orchestrator: Orchestrator | None = None, publisher: Publisher | None = None
) -> Application:
    """The ASGI app of one process. Without an `orchestrator`, the Dagster of these settings."""
    mailer = SmtpMailer.from_settings(settings)
    database = Database(settings.effective_database_url)
    if orchestrator is None:
        dagster = DagsterOrchestrator(DagsterClient.from_settings(settings))
        live = DefinitionPublisher(dagster.client, dagster, database, settings.environment())
        app = _assembled(Platform(settings, database, dagster, publisher or live, mailer))
        app.platform.part(Dependencies).add(dagster.client.dependency)
        app.beside(dagster.start, dagster.stop)
        app.beside(live.start, live.stop)
    else:
        app = _assembled(Platform(settings, database, orchestrator, publisher, mailer))
    if mailer is not None:
        app.platform.part(Dependencies).add(mailer.dependency)
    return app


def mounts() -> Sequence[Mount]:
    """What stands beside the services. The app is only put together: nothing is started or written."""
    with tempfile.TemporaryDirectory() as home:
        app = create_app(load_settings({"HEADWATER_HOME": home}))
        app.platform.close()
    return app.registry.mounts


def _assembled(platform: Platform) -> Application:
    """The services, the pages and the door to the Dagster UI around one platform."""
    app = Application(platform, _chosen(platform.settings.services), known=SERVICES)
    dagster_ui = DagsterUi(platform)
    for mount in (
        *pages.mounts(mails=platform.mailer is not None),
        *reference.mounts(app.registry.services),
        *authzen.mounts(platform),
        dagster_ui.mount(),
        *oauth.mounts(app),
        *oidc_login.mounts(app),
        *scim.mounts(app),
    ):
        app.mount(mount)
    app.beside(dagster_ui.start, dagster_ui.stop)
    subscribers = [*invitation_mail.LINKS.subscribers(platform), *password_mail.subscribers(platform)]
    if relay := open_relay(platform.settings):
        platform.part(Dependencies).add(relay.dependency)
        app.beside(relay.start, relay.stop)
        subscribers.append(relay.subscriber)
    dispatcher = Dispatcher(platform, subscribers)
    app.beside(dispatcher.start, dispatcher.stop)
    if platform.publisher is not None:
        rights = PublisherRights(platform, platform.publisher)
        app.beside(rights.start, rights.stop)
    mirror = AuditMirror(platform)
    app.beside(mirror.start, mirror.stop)
    return app


def _chosen(names: str) -> Sequence[Service]:
    """The services with these names; all without any. Operations of a process are followed in it."""
    wanted = {name.strip().replace("-", "_") for name in names.split(",") if name.strip()}
    if not wanted:
        return SERVICES
    if unknown := sorted(wanted - {service.name for service in SERVICES}):
        known = ", ".join(service.name for service in SERVICES)
        raise InvalidArgument(f"There is no service {', '.join(unknown)}. There are {known}.")
    return [service for service in SERVICES if service.name in wanted or service is OPERATIONS]


def server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """The HTTP server of the public port."""
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
            # An address in a header is what anybody writes there; it would undo the throttling of logins.
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            ssl_certfile=settings.tls_certfile or None,
            ssl_keyfile=settings.tls_keyfile or None,
        )
    )


def serve(app: Application, settings: Settings) -> None:
    """Serves an application until the process is told to stop."""
    # What was made so far lives as long as the process: to look at it again would stop all requests for 100 ms.
    gc.collect()
    gc.freeze()
    server(app, settings).run()


def main() -> None:
    """Serves the API on the public port until it is told to stop."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line per probe of the graph would drown the rest
    access_log.write_to()
    serve(create_app(settings), settings)


if __name__ == "__main__":
    main()
