"""What a file is, told from its name: `sales.csv.gz` is gzipped CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from ingestion.errors import ParseFailed
from ingestion.model.extraction import FileFormat
from ingestion.model.extraction.files import Compression as Compression

_FORMATS: Mapping[str, FileFormat] = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".json": FileFormat.JSON,
    ".ndjson": FileFormat.JSON,
    ".jsonl": FileFormat.JSON,
    ".avro": FileFormat.AVRO,
    ".parquet": FileFormat.PARQUET,
    ".orc": FileFormat.ORC,
    ".xml": FileFormat.XML,
    ".txt": FileFormat.TEXT,
}
_COMPRESSIONS: Mapping[str, Compression] = {
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".tbz2": "tar",
    ".txz": "tar",
}


@dataclass(frozen=True)
class FileKind:
    """What a file name says. `extension` is the one of the format, such as `.tsv`, or "" when there is none."""

    file_format: FileFormat | None
    compression: Compression
    extension: str


def kind_of(name: str) -> FileKind:
    """What `name` says about the file, in so far as it says anything."""
    path = PurePosixPath(name.lower())
    compression = _COMPRESSIONS.get(path.suffix, "none")
    extension = path.suffix if compression == "none" else path.with_suffix("").suffix
    if extension == ".tar":
        compression, extension = "tar", path.with_suffix("").with_suffix("").suffix
    return FileKind(_FORMATS.get(extension), compression, extension)


def require_format(name: str, declared: FileFormat | None) -> FileFormat:
    """The declared format, else the one the name tells. Raises ParseFailed when neither says."""
    told = declared or kind_of(name).file_format
    if told is None:
        raise ParseFailed(
            f"The format of '{name}' cannot be told from its name: it ends in none of {', '.join(_FORMATS)} "
            f"(with {', '.join(_COMPRESSIONS)} after it or not); set file_format to one of {', '.join(FileFormat)}",
            object=name,
        )
    return told
