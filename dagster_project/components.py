"""The components of published definitions, as the subprocess job `python -m dagster_project.components`.

It prints `{"components": [{"name", "description", "schema"}, ...]}`: each public component with the JSON Schema of its
attributes. The request is an empty object.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from dagster_project.subprocess_jobs import main


def components(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all components."""
    from assets.components import COMPONENTS

    return {
        "components": [
            {
                "name": name,
                "description": inspect.cleandoc(component.__doc__ or ""),
                "schema": component.model_json_schema(),
            }
            for name, component in COMPONENTS.items()
        ]
    }


if __name__ == "__main__":
    main("components")
