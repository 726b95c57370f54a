from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import fastavro
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from ingestion.errors import FileMissing, ParseFailed, PartialFile
from ingestion_tests.formats.conftest import Reader

ROWS = b"a,b\n" + b"".join(b"%d,text %d\n" % (number, number * 7919) for number in range(5000))


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv"])
def test_gzip_is_told_by_name_or_by_its_first_bytes(read: Reader, name: str) -> None:
    assert len(read({name: gzip.compress(ROWS)}).rows) == 5000


def test_gzip_of_several_members_is_read_wholly(read: Reader) -> None:
    assert len(read({"a.csv.gz": gzip.compress(ROWS) + gzip.compress(b"9,x\n")}).rows) == 5001


@pytest.mark.parametrize("cut", [15, 500, -1, -8])
def test_truncated_gzip_is_partial(read: Reader, cut: int) -> None:
    with pytest.raises(PartialFile, match=r"a\.csv\.gz"):
        read({"a.csv.gz": gzip.compress(ROWS)[:cut]})


def test_damaged_gzip_fails(read: Reader) -> None:
    data = bytearray(gzip.compress(ROWS))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises((ParseFailed, PartialFile)):
        read({"a.csv.gz": bytes(data)})


def test_what_is_no_gzip_is_not_read_as_one(read: Reader) -> None:
    with pytest.raises(ParseFailed, match="does not begin like gzip"):
        read({"a.csv.gz": ROWS})


def test_zip_members_are_read_in_order_or_as_chosen(read: Reader) -> None:
    data = zipped({"b.csv": b"a,b\n2,y\n", "a.csv": b"a,b\n1,x\n", "__MACOSX/._a.csv": b"junk", "notes.txt": b"?"})
    both = read({"x.csv.zip": data}, archive_member="*.csv")
    assert [row["a"] for row in both.rows][:2] == [1, 2]
    assert read({"x.csv.zip": data}, archive_member="b.csv").rows == [{"a": 2, "b": "y"}]
    with pytest.raises(FileMissing, match=r"notes\.txt"):
        read({"x.csv.zip": data}, archive_member="c.csv")


def test_the_format_of_a_zip_is_told_by_its_members(read: Reader) -> None:
    assert read({"x.zip": zipped({"a.csv": b"a,b\n1,x\n"})}).rows == [{"a": 1, "b": "x"}]


def test_parquet_in_a_zip(read: Reader) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([1, 2])}), out)
    assert read({"x.parquet.zip": zipped({"a.parquet": out.getvalue()})}).rows == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["../a.csv", "/a.csv", "x/../../a.csv", "..\\a.csv", "C:/a.csv"])
def test_names_that_leave_the_archive_are_refused(read: Reader, name: str) -> None:
    with pytest.raises(ParseFailed, match="outside itself"):
        read({"x.csv.zip": zipped({name: b"a,b\n1,x\n"})})


def test_encrypted_members_are_refused(read: Reader) -> None:
    data = bytearray(zipped({"a.csv": ROWS}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(ParseFailed, match="encrypted"):
        read({"x.csv.zip": bytes(data)})


def test_absurd_expansion_is_refused(read: Reader) -> None:
    data = bytearray(zipped({"a.csv": b"a\n" * 100}))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (3 << 30).to_bytes(4, "little")
    with pytest.raises(ParseFailed, match="which no real data does"):
        read({"x.csv.zip": bytes(data)})


def test_a_truncated_zip_is_partial(read: Reader) -> None:
    with pytest.raises(PartialFile, match=r"x\.csv\.zip"):
        read({"x.csv.zip": zipped({"a.csv": ROWS})[:-30]})


def test_a_file_of_no_known_format_says_what_is_known(read: Reader) -> None:
    with pytest.raises(ParseFailed, match=r"\.csv, \.tsv.*file_format"):
        read({"a.dat": ROWS})


def test_formats_are_not_mixed(read: Reader) -> None:
    with pytest.raises(ParseFailed, match="different formats"):
        read({"a.csv": b"a\n1\n", "b.json": b'{"a": 1}'})


def tarred(members: dict[str, bytes], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{mode}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


PACKED = {"bz2": bz2.compress(ROWS), "xz": lzma.compress(ROWS), "zst": zstd(ROWS), "gz": gzip.compress(ROWS)}


@pytest.mark.parametrize("suffix", sorted(PACKED))
def test_each_compression_is_told_read_and_checked(read: Reader, suffix: str) -> None:
    assert len(read({f"a.csv.{suffix}": PACKED[suffix], "b.csv": PACKED[suffix]}).rows) == 10_000
    with pytest.raises(PartialFile, match=rf"'a\.csv\.{suffix}' ends too early"):
        read({f"a.csv.{suffix}": PACKED[suffix][:-20]})
    with pytest.raises(ParseFailed, match="does not begin like"):
        read({f"a.csv.{suffix}": ROWS})
    if suffix == "zst":  # Arrow writes it without a checksum: damage cannot be seen.
        return
    with pytest.raises((ParseFailed, PartialFile), match=rf"a\.csv\.{suffix}"):
        read({f"a.csv.{suffix}": PACKED[suffix][:200] + b"\x00" * 200 + PACKED[suffix][400:]})


@pytest.mark.parametrize(("name", "mode"), [("x.tar", ""), ("x.tar.gz", "gz"), ("x.tgz", "gz"), ("x.tar.xz", "xz")])
def test_members_of_a_tar_are_read_in_its_order(read: Reader, name: str, mode: str) -> None:
    data = tarred({"b.csv": b"a\n1\n", "in/a.csv": b"a\n2\nx,y\n", "note.csv~": b"?"}, mode)
    outcome = read({name: data}, archive_member="*.csv")
    assert [row["a"] for row in outcome.rows] == [1, 2]
    assert [reject["object"] for reject in outcome.rejects] == [f"{name}/in/a.csv"]
    with pytest.raises(FileMissing, match=r"no member that matches 'z\*'; it has b\.csv, in/a\.csv, note\.csv~"):
        read({name: data}, archive_member="z*", file_format="CSV")
    with pytest.raises(PartialFile, match=rf"{name}"):
        read({name: tarred({"a.csv": ROWS}, mode)[:1500]})


def test_orc_and_avro_in_archives(read: Reader) -> None:
    out = io.BytesIO()
    orc.write_table(pa.table({"a": pa.array([1, 2])}), out)
    assert read({"x.orc.tar.gz": tarred({"a.orc": out.getvalue()}, "gz")}).rows == [{"a": 1}, {"a": 2}]
    plain = io.BytesIO()
    fastavro.writer(plain, {"type": "record", "name": "r", "fields": [{"name": "a", "type": "int"}]}, [{"a": 1}])
    assert read({"a.avro.gz": gzip.compress(plain.getvalue())}).rows == [{"a": 1}]
