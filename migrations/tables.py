"""Imports every module that owns tables, so that `METADATA` is the whole metadata database."""

# ruff: noqa: F401 - all imports are for their effect
import api.kernel.outbox.tables
import api.kernel.sagas.steps
import api.kernel.tables
import api.services.admin.login_tables
import core.definitions
import core.events
import core.leases
import lakehouse.landing
import lakehouse.ledger
import lakehouse.lineage
import lakehouse.pins
from core.db import METADATA

__all__ = ["METADATA"]
