"""Imports every module that owns tables, so that `METADATA` is the whole metadata database."""

import api.kernel.tables
import core.definitions
import core.events
import lakehouse.landing
import lakehouse.ledger
import lakehouse.lineage
import lakehouse.pins  # noqa: F401 - all imports are for their effect
from core.db import METADATA

__all__ = ["METADATA"]
