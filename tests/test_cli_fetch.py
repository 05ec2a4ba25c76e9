"""The command ``thesis corpus fetch``: licence first, then the folder, then nothing twice."""

import hashlib
import http.server
import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from thesislib.cli import main
from thesislib.corpora.records import RECORDS
from thesislib.export import fetch as fetching
from thesislib.export.fetch import fetch_corpus

RECORD = RECORDS["emo_db"]

NAMES = sorted(f"{s}a01{e}a.wav" for s in ("03", "08", "12", "14", "15", "16") for e in "WTF")


@pytest.fixture
def server(monkeypatch):
    """Serve a small archive in EMO-DB's layout at 127.0.0.1."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, name in enumerate(NAMES):
            wav, y = io.BytesIO(), np.random.default_rng(i).uniform(-0.5, 0.5, 4000)
            soundfile.write(wav, y, 16000, format="WAV", subtype="PCM_16")
            archive.writestr(f"wav/{name}", wav.getvalue())
    requests, content = [], buffer.getvalue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            body = content if self.path == "/download.zip" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    digest = hashlib.sha256("\n".join(NAMES).encode()).hexdigest()
    monkeypatch.setattr(RECORD, "names_sha256", digest)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        monkeypatch.setattr(RECORD, "base_url", f"http://127.0.0.1:{httpd.server_port}")
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield requests
        httpd.shutdown()


def fetch(*arguments):
    return main(["corpus", "fetch", *map(str, arguments)])


def test_without_consent_the_licence_is_printed_and_nothing_is_fetched(server, tmp_path, capsys):
    assert fetch("emo-db", "--folder", tmp_path / "e") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert RECORD.licence in printed.err
    assert server == []
    assert not (tmp_path / "e").exists()


def test_it_is_fetched_once_and_is_then_a_corpus(server, tmp_path, capsys):
    folder = tmp_path / "e"
    for _ in range(2):
        assert fetch("emo-db", "--folder", folder, "--accept-licence") == 0
        assert capsys.readouterr().out.strip() == str(folder)
    assert server == ["/download.zip"]
    assert sorted(path.name for path in (folder / "wav").iterdir()) == NAMES
    assert main(["corpus", "check", str(folder)]) == 0
    assert "18 rows, 2 classes, stand-in" in capsys.readouterr().out


def test_of_four_at_once_one_fetches(server, tmp_path):
    folder = tmp_path / "e"
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(fetch_corpus, "emo-db", folder, accept_licence=True) for _ in range(4)]
        assert [call.result() for call in calls] == [folder] * 4
    assert server == ["/download.zip"]
    assert sorted(path.name for path in (folder / "wav").iterdir()) == NAMES
    assert list(tmp_path.iterdir()) == [folder]


def test_unknown_names_and_absent_archives_end_with_code_2(server, tmp_path, capsys, monkeypatch):
    assert fetch("emodb", "--accept-licence") == 2
    assert "did you mean 'emo-db'?" in capsys.readouterr().err
    monkeypatch.setattr(fetching, "list_archives", lambda *arguments: [{"name": "moved.zip"}])
    assert fetch("emo-db", "--folder", tmp_path / "e", "--accept-licence") == 2
    assert "moved.zip" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.wav"))
