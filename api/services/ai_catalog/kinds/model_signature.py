"""Signatures of logged models and of versions of registered models."""

from __future__ import annotations

from collections.abc import Sequence

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Query
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION, files_of
from api.services.ai_catalog.logic.model_signatures import ModelSignature, signature_of


@LOGGED_MODEL.part("signature", query=Query, result=ModelSignature)
async def get_logged_model_signature(ctx: Context, logged_model: str, query: Query) -> ModelSignature:
    """Returns the inputs and outputs of a logged model, from its `MLmodel` or ONNX file. The model isn't loaded."""

    def read(unit: Unit) -> tuple[Row, Sequence[tuple[str, str]]]:
        row = LOGGED_MODEL.row(unit, logged_model, "signature")
        return row, files_of(unit, row.id, "")

    row, files = await ctx.read(read)
    return await ctx.compute(signature_of, open_blobs(ctx.platform), row.project_id, files)


@MODEL_VERSION.part("signature", query=Query, result=ModelSignature)
async def get_model_version_signature(ctx: Context, model_version: str, query: Query) -> ModelSignature:
    """Returns the inputs and outputs of a version, from its `MLmodel` or ONNX file. The model isn't loaded."""

    def read(unit: Unit) -> tuple[Row, Sequence[tuple[str, str]]]:
        row = MODEL_VERSION.row(unit, model_version, "signature")
        return row, files_of(unit, row.parent_id, row.path)

    row, files = await ctx.read(read)
    return await ctx.compute(signature_of, open_blobs(ctx.platform), row.project_id, files, row.path)
