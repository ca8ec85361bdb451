"""Which tables a SQL statement reads, found without a database so that loading definitions stays light."""

from __future__ import annotations

import re

from core.ids import is_asset_id

_TOKEN = re.compile(
    r"""
    --[^\n]*                        # comment to the end of the line
    | /\*.*?\*/                     # comment
    | '(?:[^']|'')*'                # text
    | "(?:[^"]|"")*"                # quoted name
    | [A-Za-z_]\w*                  # word
    | \s+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def referenced_tables(statement: str) -> list[str]:
    """Tables named `project.schema.table` in a FROM clause, sorted.

    Only three-part names count: those of common table expressions have one part. The tables that a run then really
    reads are compared with these.
    """
    tokens = [
        token for token in _TOKEN.findall(statement) if not token.isspace() and not token.startswith(("--", "/*"))
    ]
    found = set()
    for position, token in enumerate(tokens):
        if token.upper() not in ("FROM", "JOIN", ","):
            continue
        name = "".join(tokens[position + 1 : position + 6]).replace('"', "")
        following = tokens[position + 6 : position + 7]
        if is_asset_id(name) and following != ["."]:
            found.add(name)
    return sorted(found)
