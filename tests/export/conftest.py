"""A server of a few files on 127.0.0.1, for whatever is fetched."""

import http.server
import threading
import time

import pytest


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files``.

    It is busy for the first ``n_busy`` requests, cuts the first ``n_cuts`` answers of more than
    ``cut_above`` bytes in the middle, waits ``delay_s``, and may know no Range. ``headers``
    replaces headers of its answers (None: left out), and ``moved`` is the host of all files.
    """

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            return self.send_error(404)
        if server.moved and server.moved != self.headers["Host"]:
            self.send_response(302)
            self.send_header("Location", f"http://{server.moved}{self.path}")
            return self.end_headers()
        if server.n_busy > 0:
            server.n_busy -= 1
            return self.send_error(503)
        if not server.knows_range:
            wanted = None
        start = int((wanted or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        body = content[start:]
        for name, value in ({"Content-Length": str(len(body))} | server.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        time.sleep(server.delay_s)
        if server.n_cuts > 0 and len(body) > server.cut_above:
            server.n_cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def file_server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.files, httpd.requests, httpd.n_cuts, httpd.n_busy = {}, [], 0, 0
        httpd.headers, httpd.moved = {}, ""
        httpd.knows_range, httpd.delay_s, httpd.cut_above = True, 0, 100_000
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield httpd
        httpd.shutdown()
