"""How a CSV file is written: delimiter, quotes, header. Told from its first part, or refused as unclear."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingestion.errors import ParseFailed
from ingestion.formats.naming import unique_names
from ingestion.model.pipeline import FileExtraction

_LONGEST_CELL = min(sys.maxsize, 2**31 - 1)
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_DELIMITERS = (",", ";", "\t", "|")
_TOLD_FROM_RECORDS = 200
_DATUM = re.compile(r"[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[/.]\d\d?[/.]\d{4}")


@dataclass(frozen=True)
class Dialect:
    """`quote` is "" when nothing is quoted; `escape` equals `quote` when quotes are escaped by doubling."""

    delimiter: str
    quote: str
    escape: str


@dataclass(frozen=True)
class Layout:
    """Where the rows of a file begin: `names` of the columns, `start` in bytes, `lines` before it."""

    dialect: Dialect
    names: Sequence[str]
    start: int
    lines: int


def split_lines(text: str) -> list[str]:
    """The lines of `text` with their ends; only CR, LF and CRLF end a line."""
    return _LINES.findall(text)


def records(lines: Iterator[str] | Sequence[str], dialect: Dialect) -> Iterator[list[str]]:
    """The records in `lines`, a blank line being an empty one. Several characters as delimiter: no quoted line ends."""
    if len(dialect.delimiter) > 1:
        for line in lines:
            text = line.rstrip("\r\n")
            yield [_unquoted(part, dialect) for part in text.split(dialect.delimiter)] if text else []
        return
    csv.field_size_limit(_LONGEST_CELL)
    doubled = dialect.escape == dialect.quote
    yield from csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled or not dialect.escape else dialect.escape,
    )


def _unquoted(part: str, dialect: Dialect) -> str:
    quote = dialect.quote
    return part[1:-1] if quote and len(part) > 1 and part[0] == part[-1] == quote else part


def layout_of(
    head: bytes, name: str, params: FileExtraction, extension: str, declared: Sequence[str], is_whole: bool
) -> Layout:
    """The layout told by the file's first bytes, which are UTF-8. `declared` names columns when there is no header.

    Raises ParseFailed when the delimiter or the header is unclear, saying which parameter makes it clear.
    """
    lines = split_lines(head.decode("utf-8", "surrogateescape"))
    if not is_whole and len(lines) > 1:
        lines.pop()  # Cut off in the middle.
    first = _lines_before_header(lines, params)
    dialect = _dialect(lines[first:], name, params, extension)
    if params.skip_header_rows == 0:
        found = next((record for record in records(lines[first:], dialect) if record), [])
        names = list(declared) or [f"f{position}" for position in range(len(found))]
        return Layout(dialect, names, _size(lines[:first]), first)
    header, after = _header(lines, first, dialect)
    if after >= len(lines) and not is_whole:
        raise ParseFailed(f"'{name}' has no end of its header in the first {len(head)} bytes", object=name)
    if params.skip_header_rows is None:
        _require_names(header, name)
    return Layout(dialect, unique_names(header), _size(lines[:after]), after)


def _lines_before_header(lines: Sequence[str], params: FileExtraction) -> int:
    """Lines to drop: all but the last of skip_header_rows, then blank ones."""
    first = min(max((params.skip_header_rows or 1) - 1, 0), len(lines))
    while first < len(lines) and not lines[first].strip("\r\n"):
        first += 1
    return first


def _header(lines: Sequence[str], first: int, dialect: Dialect) -> tuple[list[str], int]:
    """The header's cells and the number of lines up to its end."""
    used = first

    def counted() -> Iterator[str]:
        nonlocal used
        for line in lines[first:]:
            used += 1
            yield line

    return next(records(counted(), dialect), []), used


def _require_names(header: Sequence[str], name: str) -> None:
    data = next((cell for cell in header if _DATUM.fullmatch(cell.strip())), None)
    if data is not None:
        raise ParseFailed(
            f"'{name}' may have no header: its first line holds {data!r}. Set skip_header_rows to 0 if the first line "
            f"is data, or to 1 if it names the columns",
            object=name,
            line=1,
        )


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogateescape")) for line in lines)


def _dialect(lines: Sequence[str], name: str, params: FileExtraction, extension: str) -> Dialect:
    quote = '"' if params.quote is None else params.quote
    escape = quote if params.escape is None else params.escape
    given = params.field_delimiter
    if given is not None:
        return Dialect("\t" if given in ("\\t", "tab") else given, quote, escape)
    if extension == ".tsv":
        return Dialect("\t", quote, escape)
    return Dialect(_told_delimiter(lines, name, quote, escape), quote, escape)


def _told_delimiter(lines: Sequence[str], name: str, quote: str, escape: str) -> str:
    """The one delimiter that splits the header, or the one that alone splits all records alike."""
    agreement: dict[str, float] = {}
    for delimiter in _DELIMITERS:
        share = _agreement(lines, Dialect(delimiter, quote, escape))
        if share is not None:
            agreement[delimiter] = share
    if len(agreement) < 2:
        return next(iter(agreement), ",")
    best = [delimiter for delimiter, share in agreement.items() if share == max(agreement.values())]
    if len(best) > 1:
        raise ParseFailed(
            f"The delimiter of '{name}' is unclear: it may be any of {', '.join(map(repr, best))}; set field_delimiter",
            object=name,
        )
    return best[0]


def _agreement(lines: Sequence[str], dialect: Dialect) -> float | None:
    """The share of records that have as many cells as the first one; None when that has only one."""
    widths: list[int] = []
    for record in records(lines, dialect):
        if record:
            widths.append(len(record))
        if len(widths) >= _TOLD_FROM_RECORDS:
            break
    if not widths or widths[0] < 2:
        return None
    return sum(width == widths[0] for width in widths) / len(widths)
