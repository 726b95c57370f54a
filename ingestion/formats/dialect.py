"""How a CSV file is written: delimiter, quotes, header. Told from its first part, or refused as unclear."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.errors import ParseFailed
from ingestion.formats.naming import unique_names
from ingestion.formats.records import Dialect, records
from ingestion.model.extraction import FileExtraction

_DELIMITERS = (",", ";", "\t", "|")
_TOLD_FROM_RECORDS = 200
_DATUM = re.compile(r"[+-]?(\d+([.,]\d+)*|\.\d+)([eE][+-]?\d+)?|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[/.]\d\d?[/.]\d{4}")


@dataclass(frozen=True)
class Layout:
    """`names` of the columns, and the number of `lines` before the first row."""

    dialect: Dialect
    names: Sequence[str]
    lines: int


def layout_of(
    lines: Sequence[str], name: str, params: FileExtraction, extension: str, declared: Sequence[str], is_whole: bool
) -> Layout:
    """The layout told by the file's first lines. `declared` names the columns when there is no header.

    Raises ParseFailed when the delimiter or the header is unclear, saying which parameter makes it clear.
    """
    first = _lines_before_header(lines, params)
    dialect = _dialect(lines[first:], name, params, extension)
    if params.skip_header_rows == 0:
        record = next((record for record, _ in records(lines[first:], dialect)), None)
        names = list(declared) or [f"f{position}" for position in range(len(record.cells) if record else 0)]
        return Layout(dialect, names, first)
    record, used = next(records(lines[first:], dialect), (None, 0))
    if record is not None and record.error is not None:
        raise ParseFailed(f"'{name}' has no readable header: {record.error[1]}", object=name, line=first + 1)
    if first + used >= len(lines) and not is_whole:
        raise ParseFailed(f"'{name}' has no end of its header in its first part", object=name)
    header = record.cells if record else []
    _require_text(header, name, params.encoding, first + 1)
    if params.skip_header_rows is None:
        _require_names(header, name)
    return Layout(dialect, unique_names(header), first + used)


def _lines_before_header(lines: Sequence[str], params: FileExtraction) -> int:
    """Lines to drop: all but the last of skip_header_rows, then blank ones."""
    first = min(max((params.skip_header_rows or 1) - 1, 0), len(lines))
    while first < len(lines) and not lines[first].strip("\r"):
        first += 1
    return first


def _require_names(header: Sequence[str], name: str) -> None:
    data = next((cell for cell in header if _DATUM.fullmatch(cell.strip())), None)
    if data is not None:
        raise ParseFailed(
            f"'{name}' may have no header: its first line holds {data!r}. Set skip_header_rows to 0 if the first line "
            f"is data, or to 1 if it names the columns",
            object=name,
            line=1,
        )


def _require_text(header: Sequence[str], name: str, encoding: str | None, line: int) -> None:
    for cell in header:
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            shown = cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise ParseFailed(
                f"The header of '{name}' is not {encoding or 'UTF-8'}: {shown!r}. Set encoding, for example to latin-1",
                object=name,
                line=line,
            ) from error


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
    for record, _ in records(lines, dialect):
        if record.text:
            widths.append(len(record.cells))
        if len(widths) >= _TOLD_FROM_RECORDS:
            break
    if not widths or widths[0] < 2:
        return None
    return sum(width == widths[0] for width in widths) / len(widths)
