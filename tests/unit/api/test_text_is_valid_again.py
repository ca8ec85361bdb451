"""Text that a field accepts is valid when it is read from the database.

The kind: a validator changes a value after its length was checked, so that the stored value breaks every later read of
the resource. A title of one space was stored as an empty one.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.kernel.kinds.resource import Labels, Text, Title

LONGER_WHEN_NORMALIZED = "\u0958"


@pytest.mark.parametrize(
    ("type", "wrapped"),
    [(Title, str), (Text, str), (Labels, lambda text: {"label": text})],
    ids=["title", "text", "labels"],
)
@given(text=st.text(max_size=210))
@example(text=" ")
@example(text=LONGER_WHEN_NORMALIZED * 200)
@example(text=LONGER_WHEN_NORMALIZED * 2000)
def test_what_is_accepted_is_accepted_again_as_it_is(type: Any, wrapped: Any, text: str) -> None:
    adapter = TypeAdapter(type)
    try:
        accepted = adapter.validate_python(wrapped(text), strict=True)
    except ValidationError:
        return
    assert adapter.validate_python(accepted, strict=True) == accepted


def test_a_blank_title_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 character"):
        TypeAdapter(Title).validate_python(" ")
    assert TypeAdapter(Title).validate_python(" Ana ") == "Ana"
