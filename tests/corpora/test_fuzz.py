"""Tables and recordings as chance makes them: what is read is what was written, or is named.

The quick runs take the first seeds of the slow ones. The environment variable ``THESIS_FUZZ``
is the number of seeds of a slow run; a failure names its seed.
"""

import csv
import io
import os
import time
import warnings

import numpy as np
import pytest
import soundfile as sf

from thesislib.audio import probe_audio, read_audio, stream_audio
from thesislib.corpora import folder
from thesislib.corpora.recordings import read_labels
from thesislib.errors import AudioError, CorpusError

#: Of the processor, for one seed.
LIMIT_S = 10
N_SLOW = int(os.environ.get("THESIS_FUZZ", "2000"))
SEEDS = [range(60), pytest.param(range(N_SLOW), marks=pytest.mark.slow)]


def run(check, seeds, folder):
    """Check each seed; list those that differ, fail otherwise, or take too long."""
    faults = []
    for seed in seeds:
        place, started = folder / str(seed), time.process_time()
        place.mkdir()
        try:
            check(np.random.default_rng(seed), place)
        except Exception as error:
            faults.append(f"seed {seed}: {type(error).__name__}: {error}")
        if time.process_time() - started > LIMIT_S:
            faults.append(f"seed {seed}: {time.process_time() - started:.0f} s")
    assert faults == [], "\n".join([f"{len(faults)} of {len(seeds)} seeds", *faults[:20]])


# --- tables -------------------------------------------------------------------------------

FILES = (
    ["a.wav", "sub/b.wav", "ü.wav", "c .wav", " d.wav", "e,f.wav", 'g"h.wav', "i;j.wav", "M.WAV"]
    + ["k\tl.wav", "n\no.wav", "öß€.wav", "中.wav", "=1+2.wav", "'p.wav", "#q.wav", "NA", "-"]
    + ["sep=;.wav", "1.wav", "007", "0,5", "..wav", "x\u00a0y.wav", "x" * 150, "\u2028z.wav"]
    + ["%s.wav", "{0}.wav", "ﬁ.wav", "r\x0bs.wav", "\x1c.wav", "file.wav", "label.wav", "1e5"]
)
CELLS = (
    ["", "NA", "nan", "None", "dog", "dog ", "Dog", "0,5", "1,5", "2.5", "1e5", "007", "7", "x;y"]
    + ["x,y", 'quo"te', "a\nb", "?", "ü", "€", "中", "=1+1", "true", "-", "x\ty", "  ", "1_000"]
    + ["Inf", "\ufeff", "0x1F", "1/2"]
)
TITLES = ["note", "year", "Größe", "file size", "a,b", "c;d", "n\to", "1", "tags,x", "label2"]
TIMES = ["0.125", "3", "", "1e-3", ".5", "5.", "12.5"]
BAD_TIMES = ["abc", "inf", "nan", "true", "1" * 400, "0x1", "1e999", "1 2", "12:30", "--1"]


def draw_columns(rng):
    def draw(values, n):
        return [values[i] for i in rng.integers(len(values), size=n)]

    n = int(rng.integers(1, 7))
    columns = {"file": [FILES[i] for i in rng.permutation(len(FILES))[:n]]}
    columns["label"] = draw(CELLS, n)
    if rng.random() < 0.5:
        columns["partition"] = draw(["train", "test", "train ", "Devel", ""], n)
    if rng.random() < 0.3:
        columns["group"] = draw(CELLS, n)
    if rng.random() < 0.5:
        columns["onset_s"] = draw(TIMES, n)
    for title in rng.permutation(TITLES)[: rng.integers(0, 3)]:
        columns[str(title)] = draw(CELLS, n)
    return {str(title): columns[title] for title in rng.permutation(list(columns))}


def draw_fault(rng, rows):
    """Spoil a table; returns the name of what was done."""
    titles, row = rows[0], rows[int(rng.integers(1, len(rows)))]
    fault = str(rng.choice(["few", "many", "title", "twice", "time"]))
    if fault == "few":
        del row[int(rng.integers(1, len(row))) :]
        row[0] = row[0].strip() or "x"  # else an empty line, which is skipped
    elif fault == "many":
        row.append("more")
    elif fault == "title":
        titles[titles.index(str(rng.choice(["file", "label"])))] = "other"
    elif fault == "twice":
        titles.append(titles[0])
        for other in rows[1:]:
            other.append("")
    elif "onset_s" in titles:
        row[titles.index("onset_s")] = str(rng.choice(BAD_TIMES))
    else:
        return ""
    return fault


def write_table(rng, path, columns):
    """Write a table in one of the ways that programs have; returns what is wrong with it."""
    delimiter = str(rng.choice([",", ";", "\t"]))
    end = str(rng.choice(["\n", "\r\n", "\r"]))
    rows = [list(columns), *map(list, zip(*columns.values()))]
    fault = draw_fault(rng, rows) if rng.random() < 0.4 else ""
    if delimiter != "," and "onset_s" in rows[0] and fault != "time" and rng.random() < 0.4:
        at = rows[0].index("onset_s")
        for row in rows[1:]:
            row[at : at + 1] = [cell.replace(".", ",") for cell in row[at : at + 1]]
    for row in rows:
        row += [""] * int(rng.choice([0, 0, 0, 1, 2])) if fault != "few" else []
    text = io.StringIO(newline="")
    if rng.random() < 0.15:
        text.write(f"sep={delimiter}" + ("\r\n" if end == "\r" else end))
    # csv does not quote a line feed where lines end in another way.
    quoting = [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL][
        rng.integers(2 + (end != "\r"))
    ]
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    for row in rows:
        if rng.random() < 0.1:
            text.write(str(rng.choice(["", " ", delimiter * 3])) + end)
        writer.writerow(row)
    text = text.getvalue()
    if rng.random() < 0.1:
        fault = "quote"
        text += f'a.wav{delimiter}"never closed'
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]))
    try:
        path.write_bytes(text.encode(encoding))
    except UnicodeEncodeError:
        path.write_bytes(text.encode())
    return fault, delimiter


def check_table(rng, place):
    columns = draw_columns(rng)
    on_disk = [name for name in columns["file"] if rng.random() < 0.5]
    for name in on_disk:
        (place / name).parent.mkdir(exist_ok=True)
        sf.write(place / name, rng.uniform(-0.5, 0.5, 800), 8000, format="WAV")
    fault, delimiter = write_table(rng, place / "index.csv", columns)
    try:
        corpus = folder.load(place)
    except CorpusError as error:
        assert fault, error
        assert "index.csv" in str(error) or str(error).startswith(f"{place.name}: ")
        return
    assert not fault, f"{fault} passed"
    expected = {title: [cell.strip() or None for cell in columns[title]] for title in columns}
    expected["file"] = columns["file"]
    for title in {"file", "label", "partition", "group"} & set(columns):
        values = [None if value != value else value for value in corpus.index[title]]
        if delimiter != "," and values != expected[title]:
            # A column of nothing but numbers with decimal commas.
            expected[title] = [cell and cell.replace(",", ".") for cell in expected[title]]
        assert values == expected[title], title
    if "onset_s" in columns:
        times = [float(cell or "nan") for cell in columns["onset_s"]]
        np.testing.assert_array_equal(corpus.index["onset_s"], times)
    problems = "\n".join(corpus.validate().problems)
    assert ("no such file" in problems) == (set(on_disk) < set(columns["file"])), problems
    labels, _ = read_labels(
        columns["file"], place, labels=place / "index.csv", nominal=True, unlabelled=True
    )
    assert labels["label"] == [None if cell == "?" else cell for cell in expected["label"]]


@pytest.mark.parametrize("seeds", SEEDS, ids=["quick", "slow"])
def test_any_table_is_read_as_it_was_written_or_named(tmp_path, seeds):
    run(check_table, seeds, tmp_path)


# --- recordings ---------------------------------------------------------------------------

CODINGS = [("WAV", s) for s in ("PCM_16", "PCM_24", "FLOAT", "ULAW")] + [("WAVEX", "PCM_16")]
CODINGS += [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")] * 2
PLACEHOLDERS = [0, 1, 2**16 - 1, 0x7FFFF000, 2**31 - 1, 2**31, 2**32 - 1]
MAGIC = [b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3\3", b"FORM", b".snd", b"riff", b"caff"]
#: Samples at either end of an mp3 that its first frame can tell a decoder to leave out, or not
#: to, without a checksum that decoders look at.
DELAY = 2 * 4095


def mutate(rng, content):
    """Spoil the header of a file, its end, or all of it."""

    def draw_bytes(most):
        return rng.bytes(int(rng.integers(1, most)))

    # The samples of a wav have no checksum.
    n_head = content.index(b"data") + 8 if b"WAVE" in content[:16] else 400
    at, cut = int(rng.integers(n_head)), int(rng.integers(1, len(content)))
    content = bytearray(content)
    kind = rng.integers(9)
    if kind == 0:
        for i in rng.integers(n_head, size=rng.integers(1, 4)):
            content[i] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        sizes = [*PLACEHOLDERS, len(content), 2 * len(content), int(rng.integers(2**32))]
        size, order = sizes[rng.integers(len(sizes))], ["little", "big"][rng.integers(2)]
        at = min(at, n_head - 4)
        content[at : at + 4] = size.to_bytes(4, order)
    elif kind == 2:
        del content[cut:]
    elif kind == 3:
        content += [bytes(int(rng.integers(5000))), draw_bytes(5000)][rng.integers(2)]
    elif kind == 4:
        end = min(n_head, at + int(rng.integers(1, 64)))
        content[at:end] = bytes(end - at)
    elif kind == 5:
        content[at:at] = draw_bytes(64)
    elif kind == 6:
        del content[at : min(n_head, at + int(rng.integers(1, 64)))]
    elif kind == 7:
        content[:4] = MAGIC[rng.integers(len(MAGIC))]
    else:
        content = draw_bytes(3000)
    return bytes(content)


def read_each_way(path):
    """Samples and sampling rate of a file, which all functions have to agree on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        info = probe_audio(path)
        y, sr = read_audio(path, channel="all")
        blocks = np.concatenate([*stream_audio(path, block_s=0.1)])
    assert (info.sr, info.n_samples, info.n_channels) == (sr, *y.shape)
    np.testing.assert_allclose(blocks, y.mean(axis=1), atol=1e-6)
    return y, sr


def check_recording(rng, place):
    form, subtype = CODINGS[rng.integers(len(CODINGS))]
    path = place / f"a.{form[:4].rstrip('EX').lower()}"
    n, sr = int(rng.integers(20_000, 30_000)), int(rng.choice([8000, 16000, 44100]))
    y = rng.uniform(-0.9, 0.9, (n, int(rng.integers(1, 3))))
    sf.write(path, y, sr, format=form, subtype=subtype)
    expected, _ = read_each_way(path)
    path.write_bytes(mutate(rng, path.read_bytes()))
    try:
        found = read_each_way(path)
    except AudioError as error:
        assert str(error).startswith(f"{path}: "), error
        return
    assert found[1] == sr
    if form == "MP3":
        expected = expected[DELAY:-DELAY]
        products = np.correlate(found[0][:, 0], expected[:, 0], "valid")
        start = products.argmax()
        found = found[0][start : start + len(expected)], sr
    # A wav without a length is read to its end, with the byte that pads it to an even one.
    n_pad = int(form == "WAV" and len(found[0]) == len(expected) + 1)
    np.testing.assert_allclose(found[0][: len(found[0]) - n_pad], expected, atol=1e-4)


@pytest.mark.parametrize("seeds", SEEDS, ids=["quick", "slow"])
def test_any_recording_is_read_as_it_was_written_or_named(tmp_path, seeds):
    run(check_recording, seeds, tmp_path)
