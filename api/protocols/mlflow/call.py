"""One request of an MLflow client: its parameters, its project, and the operations that it executes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.types import Scope

from api.kernel import problems
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import Principal
from api.protocols.calls import Calls
from api.protocols.projects import projects
from core.errors import HeadwaterError, InvalidArgument, NotFound
from core.numbers import is_storable

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True)
class MlflowCall:
    """One request."""

    calls: Calls
    scope: Scope
    principal: Principal
    workspace: str
    """Id or name of the project that the client chose as its workspace. Empty if it chose none."""
    values: Mapping[str, Any]
    """Parameters: the body of a POST, or the query of a GET."""

    def text(self, name: str, default: str | None = None) -> str:
        """Returns a parameter.

        Raises:
            InvalidArgument: it is missing and has no default, or is not a text.
        """
        value = self.values.get(name, default)
        if value is None:
            raise InvalidArgument(f"The parameter {name!r} is missing.")
        if not isinstance(value, str):
            raise InvalidArgument(f"The parameter {name!r} must be a text.")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """Returns an integer parameter. JSON of protocol buffers writes integers of 64 bits as texts.

        Raises:
            InvalidArgument: it is missing and has no default, or is not an integer.
        """
        value = self.values.get(name, default)
        try:
            if isinstance(value, bool | float):
                raise TypeError
            number = int(value)
        except (TypeError, ValueError):
            raise InvalidArgument(f"The parameter {name!r} must be an integer.") from None
        if not is_storable(number):
            raise InvalidArgument(f"The parameter {name!r} must be an integer of 64 bits.")
        return number

    def list(self, name: str) -> list[Any]:
        """Returns a repeated parameter.

        Raises:
            InvalidArgument: it is not a list.
        """
        value = self.values.get(name) or []
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise InvalidArgument(f"The parameter {name!r} must be a list.")
        return value

    def tags(self, name: str = "tags") -> dict[str, str]:
        """Returns a list of `{"key", "value"}` as a mapping."""
        pairs: dict[str, str] = {}
        for one in self.list(name):
            if not isinstance(one, dict) or not isinstance(one.get("key"), str):
                raise InvalidArgument(f"Each of {name!r} must have a key and a value.")
            pairs[one["key"]] = str(one.get("value", ""))
        return pairs

    async def read(self, operation: str, function: Callable[[Unit], T]) -> T:
        """Runs a function as an operation that reads."""
        return await self._context(operation).read(function)

    async def write(self, operation: str, function: Callable[[Unit], T], subject: str = "") -> T:
        """Runs a function in the transaction of an operation, with its audit record, also if it is refused.

        `subject` is the id of the item that the operation changes, for the audit record.
        """
        ctx = self._context(operation, subject)
        try:
            return await ctx.write(function)
        except HeadwaterError as error:
            await ctx.record_failure(error)
            raise

    async def act(self, operation: str, function: Callable[[Context], Awaitable[T]], subject: str) -> T:
        """Runs the asynchronous function of an operation, as `write`."""
        ctx = self._context(operation, subject)
        try:
            return await function(ctx)
        except HeadwaterError as error:
            await ctx.record_failure(error)
            raise

    def _context(self, operation: str, subject: str = "") -> Context:
        ctx = self.calls.context(self.scope, f"ai_catalog_{operation}", self.principal)
        ctx.subject = subject[:256] or ctx.subject
        return ctx


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """Returns the request of an operation.

    Raises:
        InvalidPayload: the values are not valid for it.
    """
    try:
        return model.model_validate(values, by_alias=True, by_name=True)
    except ValidationError as error:
        raise problems.invalid_body(error) from None


def validated_json(model: type[M], values: Mapping[str, Any]) -> M:
    """Returns the request of an operation from values as JSON has them, in which enumerations and times are texts.

    Raises:
        InvalidPayload: the values are not valid for it.
    """
    try:
        return model.model_validate_json(msgspec.json.encode(values), by_alias=True, by_name=True)
    except ValidationError as error:
        raise problems.invalid_body(error) from None


def project_of(unit: Unit, workspace: str) -> str:
    """Returns the id of the project of a request: the workspace, or the only project that the caller can see.

    Raises:
        NotFound: there is no such project that the caller can see.
        InvalidArgument: the client chose no workspace, and the caller can see several projects.
    """
    visible = projects(unit)
    if workspace:
        for project in visible:
            if workspace in (project.id, project.name):
                return str(project.id)
        raise NotFound(f"There is no workspace {workspace!r}. Workspaces are the projects that you can see.")
    if len(visible) == 1:
        return str(visible[0].id)
    names = ", ".join(project.name for project in visible[:20]) or "none"
    raise InvalidArgument(
        f"Choose a project: set MLFLOW_WORKSPACE or call mlflow.set_workspace(). You can see: {names}."
    )
