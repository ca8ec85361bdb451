"""What a Spark SQL statement of a component may do: one query that reads its inputs and nothing else.

Spark would also read files by path, run scripts and call Java methods, so a statement is looked at before it runs. What
is refused here by mistake can be said in another way; what is let through reads exact versions only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.errors import InvalidPayload

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<text>[rR]?'(?:[^'\\]|\\.|'')*'|[rR]?"(?:[^"\\]|\\.|"")*")
    | (?P<quoted>`(?:[^`]|``)*`)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_REFUSED_WORDS = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "TRUNCATE", "SET"})
_REFUSED_CALLS = frozenset({"REFLECT", "TRY_REFLECT", "JAVA_METHOD", "IDENTIFIER"})
_TABLE_CALLS = frozenset({"RANGE", "EXPLODE", "EXPLODE_OUTER", "POSEXPLODE", "INLINE", "STACK"})
_CALLS_WITH_FROM = frozenset({"EXTRACT", "TRIM", "SUBSTRING", "SUBSTR", "OVERLAY"})
_FORMATS = frozenset({"DELTA", "PARQUET", "ORC", "CSV", "JSON", "TEXT", "AVRO", "XML", "BINARYFILE", "JDBC", "ICEBERG"})
_ENDS_RELATION = frozenset(
    [
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "JOIN",
        "ON",
        "USING",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "FROM",
    ]
)

_Token = tuple[str, str]


def view_names(inputs: Sequence[str]) -> dict[str, str]:
    """Temporary view of each input: its table's name, or schema and table where two inputs share one."""
    short = [asset.split(".")[2] for asset in inputs]
    return {
        asset: name if short.count(name) == 1 else "_".join(asset.split(".")[1:])
        for asset, name in zip(inputs, short, strict=True)
    }


def prepared(statement: str, views: Mapping[str, str]) -> str:
    """The statement with asset ids replaced by the names of their views.

    Args:
        statement: one SELECT; tables are named by asset id or by view.
        views: asset id to view name, see `view_names`.

    Raises:
        InvalidPayload: it is no single query, or reads something that is not an input; says which word is at fault.
    """
    statement = _with_views(statement, views).strip().rstrip(";")
    _require_one_query(statement, views)
    return statement


def _require_one_query(statement: str, views: Mapping[str, str]) -> None:
    tokens = _tokens(statement)
    words = [value.upper() if kind == "word" else "" for kind, value in tokens]
    if not words or (tokens[0][1] != "(" and words[0] not in ("SELECT", "WITH")):
        raise InvalidPayload("sql: must be one SELECT, with or without a WITH clause before it.")
    for position, (kind, value) in enumerate(tokens):
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if value == ";" or words[position] in _REFUSED_WORDS:
            raise InvalidPayload(f"sql: {value} has no place in one query. Quote a column of that name with backticks.")
        if words[position] in _REFUSED_CALLS and following == "(":
            raise InvalidPayload(f"sql: the function {value} is not allowed.")
        if (words[position] in _FORMATS and following == ".") or (kind == "quoted" and re.search(r"[/:\\]", value)):
            raise InvalidPayload(f"sql: {value} reads files by path; read tables named in `inputs`.")
        if words[position] == "USING" and tokens[position + 1 : position + 2] and tokens[position + 1][0] == "text":
            raise InvalidPayload("sql: scripts are not run.")
    _require_inputs(tokens, words, views)


def _tokens(statement: str) -> list[_Token]:
    found = ((str(match.lastgroup), match.group()) for match in _TOKEN.finditer(statement))
    return [token for token in found if token[0] != "space"]


def _with_views(statement: str, views: Mapping[str, str]) -> str:
    matches = [match for match in _TOKEN.finditer(statement) if match.lastgroup != "space"]
    result, copied, position = [], 0, 0
    while position < len(matches):
        part = matches[position : position + 5]
        name = "".join(match.group().strip("`") for match in part)
        if name in views:
            result += [statement[copied : part[0].start()], views[name]]
            copied = part[-1].end()
            position += 5
        else:
            position += 1
    return "".join([*result, statement[copied:]])


def _require_inputs(tokens: list[_Token], words: list[str], views: Mapping[str, str]) -> None:
    known = {name.upper() for name in views.values()}
    known |= {words[at - 1] for at, word in enumerate(words) if word == "AS" and _opens(tokens, at + 1) and at}
    calls: list[str] = []
    for position, (_, value) in enumerate(tokens):
        if value == "(":
            calls.append(words[position - 1] if position else "")
        elif value == ")" and calls:
            calls.pop()
        elif words[position] in ("FROM", "JOIN"):
            before = words[position - 1] if position else ""
            if before == "DISTINCT" and position > 1 and words[position - 2] in ("IS", "NOT"):
                continue
            if calls and calls[-1] in _CALLS_WITH_FROM:
                continue
            _require_relations(tokens, words, position + 1, known, views)


def _require_relations(
    tokens: list[_Token], words: list[str], position: int, known: set[str], views: Mapping[str, str]
) -> None:
    """Looks at one relation, and at those that follow it after commas."""
    while True:
        name = _name(tokens, position)
        call = _opens(tokens, position + 1)
        allowed = (name.upper() in known and not call) or (name.upper() in _TABLE_CALLS and call)
        if name == "(":
            if words[position + 1 : position + 2] not in (["SELECT"], ["WITH"], ["VALUES"], ["FROM"]):
                _require_relations(tokens, words, position + 1, known, views)
        elif not (allowed or name.upper() in ("LATERAL", "VALUES")):
            raise InvalidPayload(
                f"sql: reads {name}, which is not among the inputs. Its inputs are "
                f"{', '.join(f'{asset} (also {view})' for asset, view in views.items())}."
            )
        position = _after_relation(tokens, words, position)
        if tokens[position : position + 1] != [("other", ",")]:
            return
        position += 1


def _name(tokens: list[_Token], position: int) -> str:
    """The name at a position, with all its parts."""
    name = tokens[position][1].strip("`") if position < len(tokens) else "nothing"
    while tokens[position + 1 : position + 2] == [("other", ".")] and position + 2 < len(tokens):
        position += 2
        name += "." + tokens[position][1].strip("`")
    return name


def _after_relation(tokens: list[_Token], words: list[str], position: int) -> int:
    """The token after a relation, its arguments and its alias."""
    depth = 0
    while position < len(tokens):
        value = tokens[position][1]
        if not depth and (value in (",", ")") or words[position] in _ENDS_RELATION):
            break
        depth += {"(": 1, ")": -1}.get(value, 0)
        position += 1
    return position


def _opens(tokens: list[_Token], position: int) -> bool:
    return tokens[position : position + 1] == [("other", "(")]
