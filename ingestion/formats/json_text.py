"""JSON text cut into rows, each column kept as the very token it was written as.

Tokens keep every digit of a number and every byte of a nested value. Of a key that is there twice in one
object the last one counts, as in most JSON readers.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from ingestion.errors import ParseFailed, PartialFile, TooLarge

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_MEMBER = re.compile(rf"[\s{{,]*({_STRING})\s*:\s*({_STRING}|{_NUMBER}|true|false|null)?", re.DOTALL)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Takes rows apart at the speed of C; the pattern above is for the few that it leaves."""
_CHUNK = 1 << 20
LONGEST_VALUE = 64 << 20
"""Characters one row of a JSON document may have."""
_MARGIN = 16  # An error so near the end of the text read so far may only be a token that is cut off.


@dataclass(frozen=True)
class JsonRow:
    """One object: its number (a line, or an element of an array) and its members as tokens."""

    number: int
    tokens: Mapping[str, str]


@dataclass(frozen=True)
class BadJson:
    """Something that is no row: `error_code` and what is wrong, with the text itself."""

    number: int
    error_code: str
    got: str
    raw: str


def parse_row(text: str, number: int) -> JsonRow | BadJson:
    """One JSON text as a row. NaN and Infinity, which JSON does not have, are refused."""
    if "\\ud" not in text and "\\uD" not in text:
        try:
            members = _MEMBERS.decode(text)
        except (msgspec.DecodeError, RecursionError):
            pass  # What is wrong is said below.
        else:
            return JsonRow(number, {name: str(memoryview(token), "utf-8") for name, token in members.items()})
    try:
        value = json.loads(text, parse_constant=_refuse)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # Half of a surrogate pair is no text.
    except UnicodeEncodeError as error:
        return BadJson(number, "INVALID_ENCODING", str(error), text)
    except (ValueError, RecursionError) as error:
        return BadJson(number, "INVALID_JSON", str(error), text)
    if not isinstance(value, dict):
        return BadJson(number, "NOT_AN_OBJECT", type(value).__name__, text)
    return JsonRow(number, _tokens(text) if value else {})


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _tokens(text: str) -> dict[str, str]:
    """Members of the object that `text` is known to be."""
    tokens: dict[str, str] = {}
    position = 0
    while member := _MEMBER.match(text, position):
        key, token = member.groups()
        position = member.end()
        if token is None:
            start = position
            position = _DECODER.raw_decode(text, start)[1]
            token = text[start:position]
        name = json.loads(key) if "\\" in key else key[1:-1]
        tokens[name] = token
    return tokens


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def line_rows(lines: Iterator[bytes]) -> Iterator[JsonRow | BadJson]:
    """The rows of newline-delimited JSON; blank lines do not count."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            yield BadJson(number, "INVALID_ENCODING", str(error), line.decode("utf-8", "backslashreplace").rstrip("\n"))
            continue
        yield parse_row(text.rstrip("\r\n"), number)


def document_rows(chunks: Iterator[bytes], name: str, data_path: str | None) -> Iterator[JsonRow | BadJson]:
    """The rows of one JSON document: the elements of the array at `data_path`, or the one object there.

    Raises ParseFailed with the line when it is not JSON or has nothing there, PartialFile when it ends early.
    """
    text = JsonWindow(chunks, name)
    for key in data_path.split(".") if data_path else []:
        _enter(text, key, data_path or "")
    if text.peek() == "{":
        yield parse_row(text.value(), 1)
    elif text.peek() == "[":
        yield from _elements(text)
    else:
        text.fail(f"the rows must be an array of objects, not {text.value()[:80]}")
    if data_path is None and text.peek():
        text.fail("there is more text after the end of the document")


def _elements(text: JsonWindow) -> Iterator[JsonRow | BadJson]:
    text.take("[")
    number = 0
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        number += 1
        yield parse_row(text.value(), number)
        if text.peek() == ",":
            text.take(",")
        else:
            text.take("]")
            return


def _enter(text: JsonWindow, key: str, data_path: str) -> None:
    """Move to the value of `key` in the object that comes next."""
    if text.peek() != "{":
        text.fail(f"data_path '{data_path}' leads to '{key}' in something that is not an object")
    text.take("{")
    while text.peek() != "}":
        name = json.loads(text.value())
        text.take(":")
        if name == key:
            text.peek()
            return
        text.value()
        if text.peek() != "}":
            text.take(",")
    text.fail(f"data_path '{data_path}': there is no '{key}'")


class JsonWindow:
    """A sliding part of a text that is read as far as needed."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks = chunks
        self._decode = codecs.getincrementaldecoder("utf-8")("strict")
        self._name = name
        self._text = ""
        self._position = 0
        self._line = 1
        self._is_whole = False

    def peek(self) -> str:
        """The next character that is not white space; "" at the end."""
        while True:
            rest = self._text[self._position : self._position + 1]
            if rest and rest not in " \t\r\n":
                return rest
            if rest:
                self._position += 1
            elif not self._more():
                return ""

    def take(self, character: str) -> None:
        """Step over `character`, which has to come next."""
        found = self.peek()
        if found != character:
            self.fail(f"expected {character!r}", at_end=not found)
        self._position += 1

    def value(self) -> str:
        """The text of the next value, which is stepped over."""
        self.peek()
        while True:
            try:
                end = _DECODER.raw_decode(self._text, self._position)[1]
            except json.JSONDecodeError as error:
                is_cut = error.pos >= len(self._text) - _MARGIN or error.msg.startswith("Unterminated string")
                if not is_cut or not self._grow():
                    self.fail(error.msg, at_end=is_cut)
            except (ValueError, RecursionError) as error:
                self.fail(str(error))
            else:
                # A number so near the end may go on in the next chunk: 1. or 1e+ look like a whole 1.
                if end < len(self._text) - _MARGIN or self._is_whole:
                    raw = self._text[self._position : end]
                    self._position = end
                    return raw
                self._more()

    def fail(self, what: str, at_end: bool = False) -> NoReturn:
        """Raise what is wrong at the present place."""
        line = self._line + self._text.count("\n", 0, self._position)
        if at_end and self._is_whole:
            raise PartialFile(f"'{self._name}' ends too early, in line {line}: {what}", object=self._name)
        raise ParseFailed(f"'{self._name}', line {line}: {what}", object=self._name, line=line)

    def _grow(self) -> bool:
        """Read as much again as is being looked at, so that a long value is not scanned too often."""
        wanted = max(len(self._text) - self._position, _CHUNK)
        if wanted > LONGEST_VALUE:
            raise TooLarge(f"'{self._name}': a value is longer than {LONGEST_VALUE} characters", object=self._name)
        had = len(self._text)
        while len(self._text) - self._position < 2 * wanted and self._more():
            had = -1
        return had == -1

    def _more(self) -> bool:
        if self._is_whole:
            return False
        if self._position:
            self._line += self._text.count("\n", 0, self._position)
            self._text, self._position = self._text[self._position :], 0
        chunk = next(self._chunks, b"")
        try:
            self._text += self._decode.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            self.fail(f"not valid UTF-8 ({error.reason})")
        self._is_whole = not chunk
        return bool(chunk)
