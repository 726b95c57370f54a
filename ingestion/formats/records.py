"""Delimited text cut into records. Strict: what is not written as the dialect says is an error, never a guess.

An own parser, because those at hand lose or change rows silently: DuckDB's drops rows with an unclosed
quote or a line end at the end of a quoted value, Python's cannot tell an empty cell from a quoted empty one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

LONGEST_ROW = 8 << 20
"""Characters a record may have."""


@dataclass(frozen=True)
class Dialect:
    """`quote` is "" when nothing is quoted; `escape` equals `quote` when quotes are escaped by doubling."""

    delimiter: str
    quote: str
    escape: str


@dataclass(frozen=True)
class Record:
    """A record as it stands: its text without the last line end, and its cells.

    `quoted` holds the positions of quoted cells. `error` (a code and what is wrong) means there are no cells.
    `is_open` means that a quote was never closed: then the record is no more than the lines looked at for its end.
    """

    text: str
    cells: Sequence[str]
    quoted: Sequence[int] = ()
    error: tuple[str, str] | None = None
    is_open: bool = False


class RecordParser:
    """Parses the record that begins with a given line; takes more lines while a quoted cell is open."""

    def __init__(self, dialect: Dialect, lines: Iterator[str]) -> None:
        self._delimiter = dialect.delimiter
        self._quote = dialect.quote
        self._lines = lines
        quote, escape = re.escape(dialect.quote), re.escape(dialect.escape)
        self._doubled = dialect.escape == dialect.quote or not dialect.escape
        inside = f"[^{quote}]+|{quote}{quote}" if self._doubled else f"[^{quote}{escape}]+|{escape}."
        self._content = re.compile(f"(?:{inside})*", re.DOTALL) if quote else None
        self._escaped = re.compile(f"{escape}(.)", re.DOTALL)
        self._taken: list[str] = []

    def parse(self, line: str) -> Record:
        """The record that begins with `line`, which has no line feed but may end in a carriage return."""
        if not self._quote or self._quote not in line:
            return self._plain(line)
        self._taken = [line]
        cells: list[str] = []
        quoted: list[int] = []
        text, position = line, 0
        while True:
            if text.startswith(self._quote, position):
                found = self._quoted_cell(text, position + 1)
                if isinstance(found, Record):
                    return found
                cell, text, position = found
                quoted.append(len(cells))
            else:
                end = text.find(self._delimiter, position)
                end = len(text.removesuffix("\r")) if end < 0 else end
                cell, position = text[position:end], end
                if "\r" in cell:
                    return self._failed("STRAY_LINE_END", "a carriage return in a value without quotes")
            cells.append(cell)
            if text.startswith(self._delimiter, position):
                position += len(self._delimiter)
            elif text[position:] in ("", "\r"):
                return Record(self._text(), cells, quoted)
            else:
                return self._failed("BAD_QUOTES", f"{text[position : position + 20]!r} after a closing quote")

    def _plain(self, line: str) -> Record:
        text = line.removesuffix("\r")
        if "\r" in text:
            return Record(text, (), (), ("STRAY_LINE_END", "a carriage return in a value without quotes"))
        return Record(text, text.split(self._delimiter))

    def _quoted_cell(self, text: str, start: int) -> tuple[str, str, int] | Record:
        """(value, line on which it ends, position after its closing quote), or the record as an error."""
        assert self._content is not None
        parts: list[str] = []
        size = 0
        while True:
            match = self._content.match(text, start)
            end = match.end() if match else start
            parts.append(text[start:end])
            if text.startswith(self._quote, end):
                value = "".join(parts)
                return self._unescaped(value), text, end + len(self._quote)
            parts.append(text[end:] + "\n")
            size += len(text)
            if size > LONGEST_ROW:  # Before the next line is taken, which is a row of its own then.
                what = f"a quote that is not closed within {LONGEST_ROW} characters"
                return replace(self._failed("ROW_TOO_LONG", what), is_open=True)
            line = next(self._lines, None)
            if line is None:
                return replace(self._failed("UNCLOSED_QUOTE", "the quote is never closed"), is_open=True)
            self._taken.append(line)
            text, start = line, 0

    def _unescaped(self, value: str) -> str:
        if self._doubled:
            return value.replace(self._quote * 2, self._quote) if self._quote in value else value
        return self._escaped.sub(r"\1", value)

    def _text(self) -> str:
        return "\n".join(self._taken).removesuffix("\r")

    def _failed(self, code: str, what: str) -> Record:
        return Record(self._text(), (), (), (code, what))


def records(lines: Sequence[str], dialect: Dialect) -> Iterator[tuple[Record, int]]:
    """The records in `lines` (without line feeds), each with the number of lines up to its end."""
    used = 0

    def counted() -> Iterator[str]:
        nonlocal used
        for line in lines:
            used += 1
            yield line

    remaining = counted()
    parser = RecordParser(dialect, remaining)
    for line in remaining:
        yield parser.parse(line), used
