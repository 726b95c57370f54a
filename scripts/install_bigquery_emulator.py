"""Install the BigQuery emulator of the tests (local-bigquery) into an environment of its own: `.venv-bigquery`.

Its pins clash with the project's, and it runs in a process of its own anyway. DuckDB's extensions come from
wheels and are linked into the emulator's own HOME, so that it starts without a network. Does nothing when all
of it is there.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bigquery"
REQUIREMENTS = ROOT / "requirements" / "bigquery-emulator.txt"
EXTENSIONS = ("avro", "ducklake", "httpfs", "icu", "spatial")

# The emulator wants the syntax of Python 3.13; the same for older ones.
OLDER_SYNTAX: Mapping[str, Sequence[tuple[str, str]]] = {
    "catalog/metadata.py": (
        ("def list_[R: Resource](", "R = TypeVar('R', bound=Resource)\n\n\ndef list_("),
        ("def load[R: Resource](", "def load("),
        ("def save[R: Resource](", "def save("),
        ("import hashlib\n", "import hashlib\nfrom typing import TypeVar\n"),
    ),
    "engine/results.py": (
        ("f\"THEN error('{message.replace(\"'\", \"''\")}') ", "f\"THEN error('{escaped}') "),
        (
            '    return (\n        f"CASE WHEN list_bool_or',
            '    escaped = message.replace("\'", "\'\'")\n    return (\n        f"CASE WHEN list_bool_or',
        ),
    ),
}
# BYTES in Parquet files are bytes, which the emulator takes for base64 when the job names a schema.
FAULTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "jobs/load.py": (("source = _decoded(column, field)", "source = column if typed else _decoded(column, field)"),),
}


def main() -> None:
    """Install what is missing or has changed."""
    stamp, wanted = VENV / ".installed", _fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("Installing the BigQuery emulator of the tests")
    shutil.rmtree(VENV, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(VENV))
    python = VENV / "bin" / "python"
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    _run(*pip, "--require-hashes", "--no-deps", "--ignore-requires-python", "-r", str(REQUIREMENTS))
    package = Path(_answer(python, "import sysconfig; print(sysconfig.get_path('purelib'))")) / "local_bigquery"
    patches = FAULTS if sys.version_info >= (3, 13) else {**FAULTS, **OLDER_SYNTAX}
    for name, changes in patches.items():
        _patch(package / name, changes)
    _link_extensions(python)
    stamp.write_text(wanted)


def _fingerprint() -> str:
    parts = (REQUIREMENTS.read_bytes(), Path(__file__).read_bytes(), sys.version.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _answer(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _patch(path: Path, changes: Sequence[tuple[str, str]]) -> None:
    text = path.read_text("utf-8")
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{path} is not the version this patch is for: {old!r} is not in it")
        text = text.replace(old, new, 1)
    path.write_text(text, "utf-8")


def _link_extensions(python: Path) -> None:
    """Put DuckDB's extensions where it looks for them when HOME is `.venv-bigquery/home`."""
    version, platform = _answer(
        python, "import duckdb; print('v' + duckdb.__version__, duckdb.sql('PRAGMA platform').fetchone()[0])"
    ).split()
    folder = VENV / "home" / ".duckdb" / "extensions" / version / platform
    folder.mkdir(parents=True)
    for name in EXTENSIONS:
        module = _answer(python, f"import duckdb_extension_{name} as m; print(list(m.__path__)[0])")
        file = Path(module) / "extensions" / version / f"{name}.duckdb_extension"
        (folder / file.name).symlink_to(file)


if __name__ == "__main__":
    main()
