"""The library's own contract of a storage: filters, sorting, paging, cursors, uniqueness, versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from scim2_models import ScimProvider, SearchRequest
from scim2_server.testing import ScimStorageContract

from api.kernel.application import Application
from api.protocols.scim.storage import DirectoryStorage
from tests.scim import described, empty_directory


class TestStorage(ScimStorageContract):
    @pytest.fixture
    def provider(self) -> ScimProvider:
        return described()

    @pytest.fixture
    def storage(self, app: Application) -> Iterator[DirectoryStorage]:
        """The storage of an empty organization. What a test did is undone."""
        with empty_directory(app) as storage:
            yield storage


def test_an_operation_that_fails_leaves_nothing_of_what_it_did(app: Application) -> None:
    """The library runs each request, and each part of a bulk request, in an operation."""
    provider = described()
    [users] = [type for type in provider.resource_types if type.name == "User"]
    model = provider.model_for(users)

    def names(storage: DirectoryStorage) -> list[str]:
        page = storage.search([users], SearchRequest())
        return sorted(resource.user_name for resource in page.resources)

    with empty_directory(app) as storage:
        with storage.operation():
            storage.create(users, model(user_name="kept"))
        reported = len(storage._unit.events)
        with suppress(ZeroDivisionError), storage.operation():
            storage.create(users, model(user_name="gone"))
            raise ZeroDivisionError
        assert names(storage) == ["kept"]
        assert len(storage._unit.events) == reported
