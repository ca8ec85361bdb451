"""The parser of filters: it returns a syntax tree of the Common Expression Language (CEL).

The grammar and its parser are those of cel-python. This module reads strings first and blanks them out for the parser,
whose pattern for strings takes exponential time on an unterminated string.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument

if TYPE_CHECKING:
    from lark import Token, Tree

    Node = Tree[Token]

MAX_LENGTH = 2000
"""Maximum number of characters of a filter."""

MAX_DEPTH = 32
"""Maximum nesting of brackets."""

MAX_TOKENS = 600
"""Maximum number of words, signs, and strings. The maximum number of conditions needs fewer."""

_TOKEN = re.compile(r"\w+|&&|\|\||[=!<>]=|[^\w\s]")
_DOUBLE_NOT = re.compile(r"(?:!!)+(?!=)")
"""Double negation. It has no effect and is removed before parsing."""

_PIECE = re.compile(r"""(?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')|(?P<open>["'])|//|/|[^"'/]+""")
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\?\"'`])|([0-3][0-7]{2})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)")
_NAMED = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_BLANK = re.compile(r"[\t\n\f\r]")
_CHAIN = frozenset(
    ("expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary", "member", "primary")
)
_lock = threading.Lock()


class Fault(Exception):
    """A fault in a filter, with its offset in the text, counted from 0."""

    def __init__(self, offset: int, detail: str) -> None:
        super().__init__(detail)
        self.offset = offset
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Syntax:
    """The syntax tree of a filter, and the values of its strings by offset."""

    tree: Node
    strings: Mapping[int, str]


def syntax(text: str) -> Syntax:
    """Parses a filter.

    Raises:
        InvalidArgument: the filter is too long.
        Fault: the filter is not valid, or contains characters that databases cannot store.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidArgument(
            f"filter has {len(text)} characters; at most {MAX_LENGTH} are allowed. Split it into several requests."
        )
    result = _parsed(text)
    if isinstance(result, Fault):
        raise Fault(result.offset, result.detail)
    return result


def prepare(text: str) -> None:
    """Parses a filter into the cache. Call it in a thread, so that the event loop finds the filter parsed."""
    if len(text) <= MAX_LENGTH:
        _parsed(text)


@lru_cache(maxsize=512)
def _parsed(text: str) -> Syntax | Fault:
    try:
        return _read(text)
    except Fault as fault:
        return fault.with_traceback(None)


def _read(text: str) -> Syntax:
    strings: dict[int, str] = {}
    blanked: list[str] = []
    depth = 0
    for piece in _PIECE.finditer(text):
        start, part = piece.start(), piece.group()
        _require_storable(part, start)
        if piece["open"]:
            raise Fault(start, f"the string that starts with {part} is not closed")
        if part == "//":
            raise Fault(start, "comments are not supported")
        if piece["string"]:
            if start and (text[start - 1].isalnum() or text[start - 1] in "_\"'"):
                raise Fault(start, "strings with a prefix or three quotes are not supported; write a plain string")
            strings[start] = _value(part, start)
            blanked.append(part[0] + "_" * (len(part) - 2) + part[-1])
            continue
        for offset, character in enumerate(part, start):
            depth += (character in "([{") - (character in ")]}")
            if depth > MAX_DEPTH:
                raise Fault(offset, f"brackets are nested more than {MAX_DEPTH} deep")
        blanked.append(_DOUBLE_NOT.sub(lambda run: " " * len(run[0]), _BLANK.sub(" ", part)))
    # The parser takes a tenth of a millisecond per token, so tokens are counted first.
    tokens = sum(len(_TOKEN.findall(part)) if part[0] not in "\"'" else 1 for part in blanked)
    if tokens > MAX_TOKENS:
        raise Fault(0, f"there are {tokens} words and signs, more than {MAX_TOKENS},")
    return Syntax(_tree("".join(blanked)), strings)


def core(node: Any) -> Any:
    """Returns the first node at or below this one that is more than a step of the grammar. Brackets are nodes."""
    while node.data in _CHAIN and len(node.children) == 1:
        node = node.children[0]
    return node


def offset(node: Any) -> int:
    """Returns the offset of a node in the text, from 0."""
    return int(getattr(node.meta, "start_pos", 0))


def string_end(text: str, start: int) -> int:
    """Returns the offset behind the string that starts at `start`."""
    piece = _PIECE.match(text, start)
    assert piece is not None
    return piece.end()


def _require_storable(text: str, start: int) -> None:
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
        # Line breaks were blanked out, so the column is the offset in the text.
        raise Fault((error.column or 1) - 1, "the filter does not parse") from None


def _module() -> Any:
    with _lock:  # the parser class builds its tables on first use
        return _loaded()


@cache
def _loaded() -> Any:
    # The package `celpy` imports its evaluator with pendulum and regex, which is slow and not needed.
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    package = find_spec("celpy")
    assert package
    assert package.submodule_search_locations
    spec = spec_from_file_location("api.kernel._celparser", f"{package.submodule_search_locations[0]}/celparser.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # The resolver of `true` and `false` in cel-python drops their position.
    module.CELParser.ambiguous_literals = staticmethod(_keep_position)
    module.CELParser()
    return module


def _keep_position(token: Token) -> Token:
    return token.new_borrow_pos("BOOL_LIT", token.value, token) if token.value in ("true", "false") else token
