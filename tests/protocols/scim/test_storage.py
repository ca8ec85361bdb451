"""The library's own contract of a storage: filters, sorting, paging, cursors, uniqueness, versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scim2_models import ScimProvider
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
        """That of an organization with nobody in it. What a test did is undone."""
        with empty_directory(app) as storage:
            yield storage
