"""The library's own contract of a storage: filters, sorting, paging, cursors, uniqueness, versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache

import pytest
import sqlalchemy as sa
from scim2_models import ScimProvider
from scim2_server.testing import ScimStorageContract

from api.kernel.application import Application
from api.kernel.context import Context
from api.kernel.grants import access_of
from api.kernel.principal import Principal, PrincipalKind
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.kernel.unit import Unit
from api.main import create_app
from api.protocols.scim.app import provider
from api.protocols.scim.storage import DirectoryStorage
from core.settings import load_settings
from tests.api_process import prepare
from tests.databases import new_database
from tests.orchestration import FakeOrchestrator


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    environment = {"HEADWATER_HOME": str(tmp_path_factory.mktemp("home"))}
    with ExitStack() as stack:
        if request.param == "postgresql":
            url = stack.enter_context(new_database(request.getfixturevalue("postgresql")))
            environment["HEADWATER_DATABASE_URL"] = url
        settings = load_settings(environment)
        prepare(settings)
        app = create_app(settings, orchestrator=FakeOrchestrator())
        yield app
        app.platform.close()


@cache
def described() -> ScimProvider:
    return provider()


class _Undo(Exception):
    pass


class TestStorage(ScimStorageContract):
    @pytest.fixture
    def provider(self) -> ScimProvider:
        return described()

    @pytest.fixture
    def storage(self, app: Application, provider: ScimProvider) -> Iterator[DirectoryStorage]:
        """That of an organization with nobody in it. What a test did is undone."""
        platform = app.platform
        endpoint = next(one for one in app.registry.endpoints if one.operation_id == "admin_create_user")
        with suppress(_Undo), platform.database.write() as connection:
            admin = connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.name == "admin")).scalar_one()
            empty = connection.execute(
                sa.select(RESOURCE).where(RESOURCE.c.kind == "admin.organization", RESOURCE.c.id == "org_default")
            ).one()
            more = {"id": "org_empty", "organization_id": "org_empty", "name": "empty"}
            connection.execute(RESOURCE.insert().values(**empty._asdict() | more))
            access = access_of(connection, admin, platform.permissions)
            principal = Principal(admin, "admin", PrincipalKind.USER, "org_empty", "tok", access)
            ctx = Context(platform, endpoint, principal, request_id="req")
            yield DirectoryStorage(Unit(ctx, connection, writes=True), provider)
            raise _Undo
