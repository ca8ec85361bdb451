"""The text of a filter as a syntax tree of the Common Expression Language (CEL).

The grammar and its parser are cel-python's. Strings are read here first and blanked out for the parser: its pattern for
strings takes exponential time on a string that is never closed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument

if TYPE_CHECKING:
    from lark import Token, Tree

    Node = Tree[Token]

LONGEST = 2000
"""Characters of a filter."""

DEEPEST = 32
"""Brackets within brackets."""

_PIECE = re.compile(r"""(?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')|(?P<open>["'])|//|/|[^"'/]+""")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\?\"'`])|([0-3][0-7]{2})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)")
_NAMED = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_BLANK = re.compile(r"[\t\n\f\r]")
_CHAIN = frozenset(
    ("expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary", "member", "primary")
)
_lock = threading.Lock()


class Fault(Exception):
    """What is wrong with a filter, and where: an offset into its text, from 0."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


@dataclass(frozen=True, slots=True)
class Syntax:
    """The tree of a filter, and the values of its strings by their offset."""

    tree: Node
    strings: Mapping[int, str]


def syntax(text: str) -> Syntax:
    """Parses a filter.

    Raises:
        InvalidArgument: it is too long or holds what no database stores.
        Fault: it does not parse.
    """
    if len(text) > LONGEST:
        raise InvalidArgument(f"filter has {len(text)} characters; at most {LONGEST} are read. Ask for less at once.")
    strings: dict[int, str] = {}
    blanked: list[str] = []
    depth = 0
    for piece in _PIECE.finditer(text):
        start, found = piece.start(), piece.group()
        _storable(found, start)
        if piece["open"]:
            raise Fault(start, f"the string opened with {found} is not closed")
        if found == "//":
            raise Fault(start, "comments are not read")
        if piece["string"]:
            if start and (text[start - 1].isalnum() or text[start - 1] in "_\"'"):
                raise Fault(start, "a string with a prefix or three quotes is not read; write a plain one")
            strings[start] = _value(found, start)
            blanked.append(found[0] + "_" * (len(found) - 2) + found[-1])
            continue
        for offset, character in enumerate(found, start):
            depth += (character in "([{") - (character in ")]}")
            if depth > DEEPEST:
                raise Fault(offset, f"brackets are nested more than {DEEPEST} deep")
        blanked.append(_BLANK.sub(" ", found))
    return Syntax(_tree("".join(blanked)), strings)


def core(node: Any) -> Any:
    """The first node below that is more than a step of the grammar. Brackets are kept."""
    while node.data in _CHAIN and len(node.children) == 1:
        node = node.children[0]
    return node


def offset(node: Any) -> int:
    """Where a node begins in the text, from 0."""
    return int(getattr(node.meta, "start_pos", 0))


def _storable(text: str, start: int) -> None:
    for offset, character in enumerate(text, start):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise Fault(offset, f"the character U+{ord(character):04X} is refused")


def _value(literal: str, start: int) -> str:
    def character(match: re.Match[str]) -> str:
        named, *numbers = match.groups()
        if named:
            return _NAMED.get(named, named)
        code = next((int(digits, 8 if index == 0 else 16) for index, digits in enumerate(numbers) if digits), None)
        if code is None:
            raise Fault(start + 1 + match.start(), "this escape is unknown in a string")
        if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise Fault(start + 1 + match.start(), f"the character U+{code:04X} is refused")
        return chr(code)

    return _ESCAPE.sub(character, literal[1:-1])


def _tree(text: str) -> Node:
    module = _module()
    try:
        return module.CELParser().parse(text)  # type: ignore[no-any-return]
    except module.CELParseError as error:
        token = getattr(error.__context__, "token", None)
        if token is not None and token.type == "$END":
            raise Fault(len(text.rstrip()), "the filter ends too early") from None
        # Line breaks were blanked: the column is the place in the text.
        raise Fault((error.column or 1) - 1, "the filter does not parse") from None


def _module() -> Any:
    with _lock:  # it builds its tables once, in the class
        return _loaded()


@cache
def _loaded() -> Any:
    # celpy itself imports its evaluator with pendulum and regex, which takes longer than all the rest.
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    package = find_spec("celpy")
    assert package
    assert package.submodule_search_locations
    spec = spec_from_file_location("api.kernel._celparser", f"{package.submodule_search_locations[0]}/celparser.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # Its own resolver of `true` and `false` loses their place.
    module.CELParser.ambiguous_literals = staticmethod(_placed)
    module.CELParser()
    return module


def _placed(token: Token) -> Token:
    return token.new_borrow_pos("BOOL_LIT", token.value, token) if token.value in ("true", "false") else token
