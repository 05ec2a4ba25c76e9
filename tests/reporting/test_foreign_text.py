"""Names and labels of a corpus stay text in cell outputs, ``nbconvert`` pages and figures."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

from thesislib.cli import main
from thesislib.corpora.index import Corpus
from thesislib.errors import ParameterError
from thesislib.evaluation.metrics import confusion
from thesislib.evaluation.predictions import Predictions
from thesislib.reporting import explore
from thesislib.reporting.escape import latex
from thesislib.reporting.figures import plot_confusion, use_style, write_figure
from thesislib.reporting.sheets import show_figures, show_table
from thesislib.representations.extraction import Reading

LABELS = [
    '"><img src=x onerror=alert(2)>',
    "``` <script>alert(1)</script>",
    "[a](javascript:alert(3)) ![b](http://127.0.0.1:9/b.png) <meta http-equiv=refresh>",
    "a $x_1$ b",
    "$\\input{x}$",
]
NAME = 'a"><img src=x onerror=alert(4)>.wav'


@pytest.fixture
def outputs(monkeypatch, tmp_path):
    """What the cells of a notebook show for a hostile corpus, as MIME bundles."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.extend(objects))
    soundfile.write(tmp_path / NAME, np.sin(np.arange(800)) / 2, 8000)
    index = pd.DataFrame({"file": [NAME] * len(LABELS), "label": LABELS})
    corpus = Corpus(index, tmp_path, name=LABELS[0])
    values = np.eye(len(LABELS))
    predictions = Predictions(np.arange(len(LABELS)), *[np.array(LABELS)] * 2, values, LABELS)
    explore.explore_decisions(
        corpus, predictions, lambda clip: [], reading=Reading(), system=LABELS[1], note=LABELS[2]
    )
    monkeypatch.setattr(explore, "_is_attended", lambda: True)

    def fail(**_):
        raise ParameterError(f"clip: found {NAME!r}{LABELS[1]}")

    explore.choose(fail, clip={LABELS[0]: 1})
    image = tmp_path / "figure_10_2.png"
    plt.imsave(image, np.zeros((4, 4)))
    run = {"source": LABELS[0], "folder": tmp_path, "record": {"outputs": {image.name: ""}}}
    run["record"]["corpora"] = {"corpus": {"kind": LABELS[1], "name": NAME}}
    data = [{"text/markdown": each.data} for each in shown if type(each).__name__ == "Markdown"]
    data += [
        {"text/html": show_table(pd.DataFrame({LABELS[0]: LABELS}))},
        {"text/html": show_figures([run], relative_to=tmp_path)},
        {"text/html": pd.DataFrame({LABELS[0]: LABELS})._repr_html_()},
    ]
    return data


def test_a_notebook_s_page_runs_no_script_of_a_corpus(outputs, tmp_path, browser):
    shown = [new_output("display_data", data) for data in outputs]
    notebook = new_notebook(cells=[new_code_cell("", outputs=shown)])
    nbformat.validate(notebook)
    # Addresses of the template's own scripts are on another host.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="")
    path = tmp_path / "page.html"
    path.write_text(exporter.from_notebook_node(notebook)[0])
    page, events = browser.new_page(), []
    page.on("dialog", lambda dialog: (events.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: events.append(request.url))
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_timeout(300)
    assert [event for event in events if event != path.as_uri() and "data:" not in event] == []
    text = page.evaluate("document.body.innerText")
    assert [label for label in LABELS[:2] if label not in text] == []
    assert NAME in text
    page.close()


def test_labels_are_drawn_as_they_are(tmp_path):
    use_style()
    figure = plot_confusion({LABELS[3]: confusion(LABELS, LABELS, LABELS)})
    # Long names are listed below the matrix, where very long ones lose their middle.
    listed = [text.get_text().partition("…") for text in figure.texts]
    for label in LABELS:
        assert any(
            label.startswith(head) and label.endswith(tail) for head, _, tail in listed if head
        ), label
    assert all(not text.get_parse_math() for text in figure.findobj(plt.Text))
    written = write_figure(figure, "10.2", tmp_path, note="$\\input{x}$")
    assert all(path.stat().st_size > 1000 for path in written)


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    rows = ["file,label,partition"]
    for i, part in enumerate(["train", "devel", "test"] * 2):
        name = f"\x1b[31m{i}\u202e.wav"
        soundfile.write(tmp_path / name, np.random.default_rng(i).normal(size=800) / 9, 8000)
        rows.append(f"{name},\x1b[2J{i % 2},{part}")
    rows.append("\x1b]0;no\x07.wav,a,train")
    (tmp_path / "index.csv").write_text("\n".join(rows))
    assert main(["corpus", "check", str(tmp_path)]) == 2
    assert main(["corpus", "check", str(tmp_path / "no\x1b[2J")]) == 2
    shown = "".join(capsys.readouterr())
    assert "\\x1b[2J" in shown
    assert set("\x1b\x07\u202e") & set(shown) == set()


def test_signs_of_several_letters_and_of_other_scripts_compile():
    assert latex("Naïve™ Σµ 10⁻⁶") == r"Na\"{i}ve$^{TM}$ $\Sigma$$\mu$ 10$^{-6}$"
