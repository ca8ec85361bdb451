"""The strings in a filter that are compared with fields, and their replacement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from api.kernel.filtering import cel
from api.kernel.filtering.cel import Fault, core

_EQUAL = ("relation_eq", "relation_ne", "relation_in")


@dataclass(frozen=True, slots=True)
class ComparedString:
    """A string in a filter with its position, and the field that `==`, `!=`, or `in` compares it with."""

    field: str
    value: str
    start: int
    end: int


def compared(text: str, fields: Collection[str]) -> list[ComparedString]:
    """Returns the strings that are compared with one of these fields, in order. An invalid filter has none."""
    if not text.strip() or not any(field in text for field in fields):
        return []
    try:
        syntax = cel.syntax(text)
    except Fault:
        return []
    strings = []
    relations: list[Any] = list(syntax.tree.find_data("relation"))
    for relation in relations:
        if len(relation.children) != 2 or relation.children[0].data not in _EQUAL:
            continue
        first, second = _without_brackets(relation.children[0].children[0]), _without_brackets(relation.children[1])
        for named, values in ((first, second), (second, first)):
            if (field := _path(named)) in fields:
                strings += [_compared(text, field, start, syntax.strings) for start in _strings(values)]
    return sorted(strings, key=lambda string: string.start)


def replaced(text: str, values: Mapping[ComparedString, str]) -> str:
    """Returns the filter with these strings replaced by other values."""
    for string in sorted(values, key=lambda string: string.start, reverse=True):
        text = f'{text[: string.start]}"{values[string]}"{text[string.end :]}'
    return text


def _compared(text: str, field: str, start: int, strings: Mapping[int, str]) -> ComparedString:
    return ComparedString(field, strings[start], start, cel.string_end(text, start))


def _without_brackets(node: Any) -> Any:
    node = core(node)
    while node.data == "paren_expr":
        node = core(node.children[0])
    return node


def _strings(node: Any) -> list[int]:
    if node.data == "list_lit":
        return [
            start for items in node.children for item in items.children for start in _strings(_without_brackets(item))
        ]
    token = node.children[0] if node.data == "literal" else None
    return [int(token.start_pos)] if token is not None and token.type == "STRING_LIT" else []


def _path(node: Any) -> str:
    path: list[str] = []
    while node.data == "member_dot":
        path.append(str(node.children[1]))
        node = core(node.children[0])
    return ".".join([str(node.children[0]), *reversed(path)]) if node.data == "ident" else ""
