"""Which remote files a pattern finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingestion.errors import FileMissing, ParseFailed, SourcePermissionDenied
from ingestion_tests.sources.sftp_site import SftpSite


@pytest.fixture
def tree(sftp: SftpSite) -> Path:
    for name in ("b.csv", "a.csv", ".new.csv", "dir/c.csv", "dir/deep/d.csv", "dir/.x/e.csv", ".hidden/f.csv", "A.CSV"):
        sftp.server.put(name, name.encode())
    files = sftp.server.files
    (files / "folder.csv").mkdir()
    (files / "link.csv").symlink_to("dir/c.csv")
    (files / "current").symlink_to("dir")
    (files / "dir" / "up").symlink_to("..")
    return files


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv", "link.csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("?.CSV", ["A.CSV"]),
        (".*.csv", [".new.csv"]),
        ("**", ["A.CSV", "a.csv", "b.csv", "dir/c.csv", "dir/deep/d.csv", "link.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "dir/c.csv", "dir/deep/d.csv", "link.csv"]),
        ("dir/**/d.csv", ["dir/deep/d.csv"]),
        ("*/c.csv", ["current/c.csv", "dir/c.csv"]),
        ("current/*", ["current/c.csv"]),
        ("dir/*/*", ["dir/deep/d.csv", "dir/up/A.CSV", "dir/up/a.csv", "dir/up/b.csv", "dir/up/link.csv"]),
        (".hidden/*", [".hidden/f.csv"]),
        (".h*/*", [".hidden/f.csv"]),
        ("dir/c.csv", ["dir/c.csv"]),
        (".new.csv", [".new.csv"]),
        ("dir", []),
        ("nowhere/*.csv", []),
        ("a.csv/*", []),
        ("nothing.csv", []),
    ],
)
@pytest.mark.usefixtures("tree")
def test_names_and_their_patterns(sftp: SftpSite, pattern: str, expected: Sequence[str]) -> None:
    found = sftp.store().objects(pattern, 10)
    assert [version.name for version in found] == expected
    assert all(version.size_bytes for version in found)


def test_a_version_is_the_time_of_change_and_the_size(sftp: SftpSite) -> None:
    sftp.server.put("a.csv", b"123", mtime=1_700_000_000)
    (found,) = sftp.store().objects("*", 10)
    assert (found.name, found.generation, found.size_bytes) == ("a.csv", "1700000000-3", 3)


def test_paths_start_at_the_login_folder_without_a_remote_path(sftp: SftpSite) -> None:
    assert sftp.store(remote_path=None).objects("no-such-file-here.csv", 10) == []


def test_thousands_of_files_come_in_order(sftp: SftpSite) -> None:
    for number in reversed(range(3000)):
        (sftp.server.files / f"{number:05d}.csv").write_bytes(b"1")
    found = sftp.store().objects("*.csv", 30)
    assert [version.name for version in found] == [f"{number:05d}.csv" for number in range(3000)]


@pytest.mark.parametrize(("remote_path", "message"), [("gone", "does not exist"), ("file", "is not a folder")])
def test_a_remote_path_that_is_no_folder(sftp: SftpSite, remote_path: str, message: str) -> None:
    path = sftp.server.files / remote_path
    sftp.server.put("file", b"1")
    with pytest.raises(FileMissing, match=message) as caught:
        sftp.store(remote_path=str(path)).objects("*", 10)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../*", "a/../../x"])
def test_a_pattern_that_leads_out_is_refused(sftp: SftpSite, pattern: str) -> None:
    with pytest.raises(FileMissing, match="below remote_path"):
        sftp.store().objects(pattern, 10)


def test_what_matches_but_cannot_be_read_is_told(sftp: SftpSite) -> None:
    files = sftp.server.files
    sftp.server.put("good.csv", b"1")
    (files / "dangling.csv").symlink_to("gone.csv")
    os.mkfifo(files / "pipe.txt")
    Path(os.fsdecode(os.fsencode(files) + b"/caf\xe9.json")).write_bytes(b"1")
    assert [version.name for version in sftp.store().objects("g*.csv", 10)] == ["good.csv"]
    with pytest.raises(FileMissing, match=r"link .*dangling\.csv.* does not exist"):
        sftp.store().objects("*.csv", 10)
    with pytest.raises(SourcePermissionDenied, match=r"'pipe\.txt' .* is not a file"):
        sftp.store().objects("*.txt", 10)
    with pytest.raises(ParseFailed, match=r"caf.xe9\.json.*not UTF-8"):
        sftp.store().objects("*.json", 10)


def test_a_folder_that_may_not_be_listed_is_told(sftp: SftpSite) -> None:
    sftp.server.put("closed/a.csv", b"1")
    (sftp.server.files / "closed").chmod(0)
    try:
        with pytest.raises(SourcePermissionDenied, match=r"closed.*right to list"):
            sftp.store().objects("**", 10)
    finally:
        (sftp.server.files / "closed").chmod(0o755)


def test_a_file_is_found_by_name_where_listing_is_forbidden(sftp: SftpSite) -> None:
    sftp.server.put("closed/a.csv", b"1")
    (sftp.server.files / "closed").chmod(0o711 if os.geteuid() == 0 else 0o311)
    assert [version.name for version in sftp.store().objects("closed/a.csv", 10)] == ["closed/a.csv"]
    with pytest.raises(SourcePermissionDenied):
        sftp.store().objects("closed/*.csv", 10)
    (sftp.server.files / "closed").chmod(0o755)
