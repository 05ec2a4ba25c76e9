"""Transfers are resumed, checked, whole or absent; archives cannot leave their folder."""

import contextlib
import hashlib
import io
import multiprocessing
import os
import shutil
import stat
import time
import zipfile

import numpy as np
import pytest

from thesislib.errors import CorpusError, ParameterError, StoreError
from thesislib.export.download import DownloadError, fetch_archives, fetch_file, unpack_archive

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(file_server):
    file_server.files, file_server.cut_above = {"a.bin": CONTENT}, 0
    return file_server


def listing(folder):
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "sums", [{"sha256": SHA256}, {"md5": MD5}, {"sha256_prefix": SHA256[:8]}, {"md5": MD5.upper()}]
)
def test_a_file_arrives_whole_and_is_not_fetched_twice(server, tmp_path, sums):
    target = tmp_path / "deep" / "a.bin"
    for _ in range(2):
        assert fetch_file(f"{server.url}/a.bin", target, **sums) == target
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert listing(target.parent) == ["a.bin"]


def test_a_broken_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.n_cuts = 2
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    # 150 000 bytes came at first; of them at most a block of 65 536 bytes is asked for again.
    starts = [int(wanted[len("bytes=") : -1]) for _, wanted in server.requests[1:]]
    assert len(starts) == 2
    assert 150_000 - 65_536 < starts[0] <= 150_000
    assert starts[0] < starts[1] < 300_000


def test_a_killed_transfer_goes_on_and_a_complete_part_needs_no_byte(server, tmp_path):
    part = tmp_path / ".a.bin.part"
    part.write_bytes(CONTENT[:1000])
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    (tmp_path / "a.bin").rename(part)
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", "bytes=300000-"]
    assert listing(tmp_path) == ["a.bin"]


def test_a_part_of_another_version_is_thrown_away(server, tmp_path):
    (tmp_path / ".a.bin.part").write_bytes(b"of last year")
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", md5=MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == ["bytes=12-", None]


def test_a_server_without_range_sends_everything_again(server, tmp_path):
    server.knows_range, server.n_cuts = False, 1
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_busy_server_is_asked_again_an_absent_file_is_not(server, tmp_path):
    server.n_busy = 1
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    with pytest.raises(DownloadError, match=r"b\.bin: found HTTP status 404, expected 200"):
        fetch_file(f"{server.url}/b.bin", tmp_path / "b.bin", sha256=SHA256)
    assert len(server.requests) == 3
    assert listing(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_wrong_checksum_is_refused_and_leaves_nothing(server, tmp_path, name):
    wrong = {"sha256": "0" * 64, "md5": "0" * 32}[name]
    found = {"sha256": SHA256, "md5": MD5}[name]
    with pytest.raises(DownloadError, match=rf"{server.url}/a\.bin.*{found}.*expected {wrong}"):
        fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", **{name: wrong})
    assert listing(tmp_path) == []


def test_a_damaged_target_is_replaced(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"damaged")
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_an_unexpected_size_is_refused_before_the_transfer(server, tmp_path):
    with pytest.raises(DownloadError, match="found 300000 bytes on the server, expected 7"):
        fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256, size=7)


def test_checksums_are_compulsory(tmp_path):
    with pytest.raises(ParameterError, match="found no checksum"):
        fetch_file("http://127.0.0.1/a", tmp_path / "a")


def test_no_server_is_said_with_what_is_kept(tmp_path, server, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    url = server.url
    server.shutdown()
    server.socket.close()
    (tmp_path / ".a.bin.part").write_bytes(b"12345")
    with pytest.raises(DownloadError, match=r"5 bytes are kept in .*\.a\.bin\.part"):
        fetch_file(f"{url}/a.bin", tmp_path / "a.bin", sha256=SHA256)


def test_what_is_sent_is_limited_while_it_is_written(server, tmp_path):
    server.headers = {"Content-Length": None}
    for limit in ({"size": 100_000}, {"max_bytes": 100_000}):
        with pytest.raises(DownloadError, match=r"a\.bin: found over 100000 bytes"):
            fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256, **limit)
        assert listing(tmp_path) == []
    fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)


def test_a_disk_that_fills_up_is_named_and_what_came_is_kept(server, mount_disk):
    disk, server.headers = mount_disk(200), {"Content-Length": None}
    with pytest.raises(DownloadError, match=r"a\.bin: cannot be written to .*No space left"):
        fetch_file(f"{server.url}/a.bin", disk / "a.bin", sha256=SHA256)
    assert CONTENT.startswith((disk / ".a.bin.part").read_bytes())
    assert (disk / ".a.bin.part").stat().st_size > 0


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Encoding": "gzip"}, "found content encoding 'gzip', expected none"),
        ({"Content-Length": "abc"}, "found Content-Length 'abc', expected a number"),
        ({"Content-Length": "-1"}, "found Content-Length '-1', expected a number"),
    ],
)
def test_headers_that_are_no_good_are_named(server, tmp_path, headers, message):
    server.headers = headers
    with pytest.raises(DownloadError, match=message):
        fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert listing(tmp_path) == []


def test_what_came_before_each_cut_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    server.knows_range, server.n_cuts = False, 99
    server.files = {"a.bin": CONTENT[:60_000]}
    with pytest.raises(DownloadError, match=r"no new byte in 4 attempts.*30000 bytes are kept"):
        fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)
    assert (tmp_path / ".a.bin.part").read_bytes() == CONTENT[:30_000]


def test_a_redirect_to_another_host_is_named(server, tmp_path):
    server.moved = f"localhost:{server.server_port}"
    with pytest.warns(UserWarning, match=rf"a\.bin: redirected to {server.moved}"):
        fetch_file(f"{server.url}/a.bin", tmp_path / "a.bin", sha256=SHA256)


@pytest.mark.parametrize("url", ["http://", "a.zip", "ftp://127.0.0.1/a.zip"])
def test_what_is_no_address_is_said_at_once(tmp_path, url):
    with pytest.raises(DownloadError, match=r"not an http\(s\) address"):
        fetch_file(url, tmp_path / "a.bin", sha256=SHA256)


def test_two_processes_at_once_fetch_it_once(server, tmp_path):
    server.delay_s = 0.5
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(
            target=fetch_file,
            args=(f"{server.url}/a.bin", tmp_path / "a.bin"),
            kwargs={"sha256": SHA256},
        )
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1


def make_zip(members, kind=stat.S_IFREG):
    """A zip archive; the members of a special kind stand for links and devices."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if not name.endswith("/"):
                info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return stream.getvalue()


def test_archives_share_a_folder(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "old.wav").write_bytes(b"old")
    content = make_zip({"audio/new.wav": b"hello", "empty/": b""})
    (tmp_path / "archive").write_bytes(content)
    unpack_archive(tmp_path / "archive", folder)
    assert listing(folder) == ["audio", "empty", "new.wav", "old.wav"]
    assert (folder / "audio" / "new.wav").read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_zip({"good": b"1", "../evil": b"2"}), r"'\.\./evil' leaves the folder"),
        (make_zip({"a/../../evil": b"2"}), "leaves the folder"),
        (make_zip({"/evil": b"2"}), "leaves the folder"),
        (make_zip({"..\\evil": b"2"}), "leaves the folder"),
        (make_zip({"C:\\evil": b"2"}), "leaves the folder"),
        (make_zip({"evil": b"../.."}, stat.S_IFLNK), "link or device"),
        (make_zip({"evil": b""}, stat.S_IFCHR), "link or device"),
        (make_zip({"evil": b""}, stat.S_IFIFO), "link or device"),
        (make_zip({"bomb": bytes(60 << 20)}), "bytes of content, expected at most"),
        (make_zip({"a": b"hello" * 99})[:-40], "found no zip archive"),
        (make_zip({"a": b"hello"}).replace(b"a", b"b", 1), "damaged"),
        (b"no archive", "found no zip archive"),
        (make_zip({"a": b"1", "a/b": b"2"}), "member 'a' is both a file and a folder"),
        (make_zip({"a/b": b"1", "./a": b"2"}), "'a' is both a file and a folder"),
        (make_zip({"a": b"1", "a/": b""}), "'a' is both"),
        (make_zip({".": b"1"}), "'.' is both a file and a folder"),
        (make_zip({"a" * 300: b"1"}), "aaa... has a name of over 255 bytes"),
        (make_zip({"b/" + "ä" * 128 + "/c": b"1"}), "over 255 bytes"),
        (make_zip({"a/" * 2200 + "a": b"1"}), "File name too long"),
    ],
    ids=lambda value: "archive" if isinstance(value, bytes) else value,
)
def test_unsafe_and_damaged_archives_leave_nothing(tmp_path, content, message):
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises((CorpusError, StoreError), match=message) as caught:
        unpack_archive(tmp_path / "archive", tmp_path / "corpus" / "deep")
    assert "\n" not in str(caught.value)
    assert set(listing(tmp_path)) <= {"archive", "corpus", "deep"}


@pytest.mark.parametrize(("there", "member"), [("a", "a/b.wav"), ("a/b.wav/c", "a/b.wav")])
def test_what_stands_in_the_way_is_named_and_nothing_is_moved(tmp_path, there, member):
    path = tmp_path / "corpus" / there
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    (tmp_path / "archive").write_bytes(make_zip({"0.wav": b"first", member: b"new"}))
    with pytest.raises(CorpusError, match=r"corpus/a(/b\.wav)?: found a (file|folder), expected a"):
        unpack_archive(tmp_path / "archive", tmp_path / "corpus")
    assert path.read_bytes() == b"mine"
    assert "0.wav" not in listing(tmp_path / "corpus")


def test_an_archive_packed_in_its_folder_is_read(tmp_path):
    content = make_zip({"./": b"", "./a.wav": b"1"})
    (tmp_path / "archive").write_bytes(content)
    unpack_archive(tmp_path / "archive", tmp_path / "corpus")
    assert listing(tmp_path / "corpus") == ["a.wav"]


def test_flipped_bits_of_an_archive_never_give_other_content(tmp_path):
    content = make_zip({"a": b"hello"})
    for position in np.random.default_rng(0).permutation(8 * len(content))[:150]:
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        (tmp_path / "archive").write_bytes(flipped)
        with contextlib.suppress(CorpusError, StoreError):
            unpack_archive(tmp_path / "archive", tmp_path / "corpus")
            assert (tmp_path / "corpus" / "a").read_bytes() == b"hello"
            shutil.rmtree(tmp_path / "corpus")


def manifest(files):
    return [
        {"name": name, "md5": hashlib.md5(content).hexdigest(), "size": len(content)}
        for name, content in files.items()
    ]


def test_a_corpus_is_fetched_unpacked_and_taken_up_after_a_failure(server, tmp_path):
    files = {
        "1.zip": make_zip({"corpus/audio/1.wav": b"one"}),
        "2.zip": make_zip({"corpus/audio/2.wav": b"two"}),
        "readme.txt": b"read me",
    }
    server.files = {name: files[name] for name in ("1.zip", "readme.txt")}
    with pytest.raises(DownloadError, match=r"2\.zip: found HTTP status 404"):
        fetch_archives(manifest(files), tmp_path, server.url)
    server.files = files
    server.requests.clear()
    fetch_archives(manifest(files), tmp_path, server.url + "/")
    assert [path for path, _ in server.requests] == ["/2.zip", "/readme.txt"]
    server.requests.clear()
    fetch_archives(manifest(files), tmp_path, server.url)
    assert server.requests == []
    assert sorted(os.listdir(tmp_path / "corpus" / "audio")) == ["1.wav", "2.wav"]
    assert (tmp_path / "readme.txt").read_bytes() == b"read me"
    assert sorted(os.listdir(tmp_path / ".fetched")) == [
        "1.zip.done",
        "2.zip.done",
        "readme.txt.done",
    ]


def test_a_disk_too_small_is_said_first(tmp_path):
    rows = [{"name": "a.zip", "md5": MD5, "size": 10**18}]
    with pytest.raises(DownloadError, match="bytes free on disk, expected 10000"):
        fetch_archives(rows, tmp_path, "http://127.0.0.1:9")
