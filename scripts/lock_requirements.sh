#!/bin/sh
# Pin the requirements of pyproject.toml, with hashes, for every platform and for Python 3.11 and newer.
# Keeps the present pins where they still fit; LOCK_ARGS="--upgrade" takes the newest versions.
set -eu
cd "$(dirname "$0")/.."
for name in runtime demo test; do
    case $name in
        runtime) extras="" ;;
        demo) extras="--extra demo" ;;
        test) extras="--extra demo --extra test" ;;
    esac
    # shellcheck disable=SC2086
    .venv/bin/uv pip compile pyproject.toml $extras --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --no-header --quiet ${LOCK_ARGS:-} --output-file "requirements/$name.txt"
done
# The emulator itself is pinned by hand: its metadata asks for a newer Python and a newer DuckDB than it needs.
emulator=requirements/bigquery-emulator
own=$(grep -A 1 '^local-bigquery==' "$emulator.txt")
# shellcheck disable=SC2086
.venv/bin/uv pip compile "$emulator.in" --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-annotate --no-header --quiet ${LOCK_ARGS:-} --output-file "$emulator.txt"
echo "$own" >>"$emulator.txt"
