"""Tables as spreadsheets, scripts and other tools write them: one reader, one outcome."""

import os
import unicodedata

import numpy as np
import pandas as pd
import pytest
import soundfile

from thesislib.cli import main
from thesislib.corpora import folder, load_any, load_corpus, twins
from thesislib.corpora.recordings import find_recordings, read_labels
from thesislib.corpora.tables import read_table
from thesislib.errors import CorpusError

ROWS = [["file", "label", "onset_s"], ["a.wav", "Tür", "0.25"], ["b.wav", "NA", "1.5"]]


def write_tone(path, seed=0, *, scale=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    y = scale * np.random.default_rng(seed).standard_normal(4000)
    soundfile.write(path, y, 8000, subtype="FLOAT" if scale > 1 else None)


def join(delimiter, *, decimal=".", end="\n"):
    lines = [delimiter.join(row).replace("0.25", f"0{decimal}25") for row in ROWS]
    return end.join([*lines, ""]).replace("1.5", f"1{decimal}5")


@pytest.mark.parametrize(
    "content",
    [
        join(",").encode(),
        join(";").encode(),
        join("\t").encode(),
        join(";", decimal=",", end="\r\n").encode("cp1252"),
        join(";", decimal=",").encode("utf-8-sig"),
        ("sep=;\r\n" + join(";", end="\r\n")).encode(),
        ("\n" + join(";") + ";;\n\n;;;;\n").encode(),
        join("\t").encode("utf-16"),
        join(",").encode("utf-16-le"),
        join(",").encode("utf-16-be"),
        join(" , ").encode(),
        "\n".join(",".join([*row, "", ""]) for row in ROWS).encode(),
    ],
)
def test_delimiter_encoding_and_blanks_are_found_out(tmp_path, content):
    (tmp_path / "index.csv").write_bytes(content)
    corpus = folder.load(tmp_path)
    assert [name.strip() for name in corpus.index["file"]] == ["a.wav", "b.wav"]
    assert corpus.labels.tolist() == ["Tür", "NA"]
    assert corpus.index["onset_s"].tolist() == [0.25, 1.5]
    assert any("Windows-1252" in remark for remark in corpus.remarks) == (b"T\xfcr;" in content)
    columns, _ = read_labels(["a.wav", "b.wav"], tmp_path, labels=tmp_path / "index.csv")
    assert columns["label"] == ["Tür", "NA"]


def write(root, text, name="table.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def test_a_header_stays_one_where_a_recording_is_called_like_a_title(tmp_path):
    table = write(tmp_path, "label,file\nx,label.wav\ny,file.wav\n")
    columns, _ = read_labels(["file.wav", "label.wav"], tmp_path, labels=table)
    assert columns == {"label": ["y", "x"]}


def test_a_quote_that_is_never_closed_hides_no_rows(tmp_path):
    table = write(tmp_path, 'file,label\na.wav,"x\nb.wav,y\n')
    with pytest.raises(CorpusError, match=r"table\.csv, line 3: cannot be read \(unexpected end"):
        read_table(table)


def test_decimal_commas_beside_decimal_points_are_named(tmp_path):
    rows = "a.wav;1,5;0.25\nb.wav;1.5;0,5\n"
    write(tmp_path, f"file;group;label\n{rows}", "index.csv")
    assert folder.load(tmp_path).groups.tolist() == ["1,5", "1.5"]
    write(tmp_path, f"file;label;onset_s\n{rows}", "index.csv")
    with pytest.raises(CorpusError, match="row 2: onset_s is '0,5', expected seconds"):
        folder.load(tmp_path)


@pytest.mark.parametrize("names", ["NA", "None", "nan", "null", "-"])
def test_classes_that_look_like_nothing_are_text(tmp_path, names):
    write(tmp_path, f"file,label\na.wav,{names}\nb.wav,x\n", "index.csv")
    assert folder.load(tmp_path).labels.tolist() == [names, "x"]


def test_impossible_cells_are_named_by_row(tmp_path):
    write(tmp_path, f'file,label,onset_s\na.wav,x,{"1" * 400}\nb.wav,y,"0,25"\n', "index.csv")
    with pytest.raises(CorpusError) as caught:
        folder.load(tmp_path)
    assert "row 1: onset_s is '11111111111111111111… (400 characters)'" in str(caught.value)
    assert "row 2: onset_s is '0,25', expected seconds, such as 0.25" in str(caught.value)
    write(tmp_path, "file,label,onset_s\na.wav,x,0,25\n", "index.csv")
    with pytest.raises(CorpusError, match=r"index\.csv, line 2: found 4 of 3 fields"):
        folder.load(tmp_path)
    for text in ("true", "nan"):
        write(tmp_path, f"file,label,onset_s\na.wav,x,{text}\n", "index.csv")
        with pytest.raises(CorpusError, match=f"row 1: onset_s is '{text}'"):
            folder.load(tmp_path)
    write(tmp_path, f"file,label,year\na.wav,x,{10**30}\n", "index.csv")
    assert len(folder.load(tmp_path)) == 1


def test_names_that_look_alike_mean_the_file(tmp_path):
    on_disk = ["cat/a.wav", "b.WAV", unicodedata.normalize("NFD", "ü.wav"), "c .wav", "d.wav"]
    for seed, name in enumerate(on_disk):
        write_tone(tmp_path / name, seed)
    in_table = ["cat\\a.wav", "B.wav", "ü.wav", "c .wav", " ./d.wav "]
    text = "file,label\n" + "".join(f"{name},{i}\n" for i, name in enumerate(in_table))
    write(tmp_path, text, "index.csv")
    corpus = folder.load(tmp_path).check()
    assert corpus.index["file"].tolist() == on_disk
    assert corpus.remarks == ("1 files are named in other case ('B.wav' is 'b.WAV')",)
    columns, n_unused = read_labels(sorted(on_disk), tmp_path, labels=tmp_path / "index.csv")
    assert (columns["label"], n_unused) == ([1, 3, 0, 4, 2], 0)


def test_other_case_never_takes_another_file_s_label(tmp_path):
    table = write(tmp_path, "file,label\nA.wav,x\n")
    columns, _ = read_labels(["A.wav", "a.wav"], tmp_path, labels=table, unlabelled=True)
    assert columns == {"label": ["x", None]}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("filename,class\ncat/1.wav,x\n2.wav,y\n", {"class": ["x", "y"]}),
        ("name;class\n1.wav;x\n2.wav;y\n", {"class": ["x", "y"]}),
        ("1;x\n2;y\n", {"label": ["x", "y"]}),
        ("cat/1\tx\t0\n2\ty\t1\n", {"label_1": ["x", "y"], "label_2": [0, 1]}),
    ],
)
def test_label_tables_of_other_tools(tmp_path, text, columns):
    """DeepSpectrum's has another header, openXBOW's has none and no suffixes."""
    table = write(tmp_path, text)
    assert read_labels(["cat/1.wav", "2.wav"], tmp_path, labels=table)[0] == columns


def test_spellings_that_differ_in_case_are_remarked(tmp_path):
    rows = "a.wav,dog ,train \nb.wav,Dog,train\n"
    write(tmp_path, f"file,label,partition\n{rows}", "index.csv")
    corpus = folder.load(tmp_path)
    assert corpus.partitions == ["train"]
    assert "labels that differ in spelling only: dog, Dog" in corpus.validate(audio=False).remarks


def test_many_problems_of_a_kind_are_one_line(tmp_path):
    rows = "".join(f"{i}.wav,x\n" for i in range(5000))
    write(tmp_path, f"file,label\n{rows}", "index.csv")
    (problem,) = folder.load(tmp_path).validate().problems
    assert problem == (
        "row 1: 0.wav: found no such file, expected an audio file "
        "(and 4999 more: row 2: 1.wav, row 3: 2.wav, …)"
    )
    for i in range(20):
        write(tmp_path, "version https://git-lfs.github.com/spec/v1\n", f"{i}.wav")
    absent, pointers = folder.load(tmp_path).validate().problems
    assert "no such file" in absent and "(and 4979 more: " in absent
    assert "Git LFS pointer" in pointers and "(and 19 more: " in pointers


def test_paths_of_another_computer_are_one_line(tmp_path):
    rows = "".join(f"C:\\data\\{part}\\{i}.wav,x\n" for i in range(9) for part in "ab")
    write(tmp_path, f"file,label\n{rows}", "index.csv")
    (problem,) = folder.load(tmp_path).validate().problems
    assert problem.startswith("18 files: found absolute paths below 'C:/data', which is not here")


def test_one_recording_in_two_parts_is_a_problem_that_names_the_pair(tmp_path):
    for seed, name in enumerate(["a.wav", "b.wav", "c.wav", "d.wav"]):
        write_tone(tmp_path / name, seed)
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    rows = "a.wav,x,train\nb.wav,y,train\nc.wav,x,test\nd.wav,y,test\n"
    write(tmp_path, f"file,label,partition\n{rows}", "index.csv")
    (problem,) = folder.load(tmp_path).validate().problems
    assert problem.startswith("c.wav: the same recording as a.wav, in partition 'test' and 'train'")
    write(tmp_path, '{"duplicates": "allowed"}', "corpus.json")
    assert folder.load(tmp_path).check().partitions == ["train", "test"]
    write(tmp_path, f"file,label,partition\n{rows}./a.wav,x,test\n", "index.csv")
    assert "a.wav stands in the index twice" in folder.load(tmp_path).validate().problems[0]


def test_peaks_are_remarked_with_their_number_and_absurd_ones_are_problems(tmp_path):
    for seed, (name, scale) in enumerate([("a.wav", 0.1), ("b.wav", 1.5), ("c.wav", 1e4)]):
        write_tone(tmp_path / name, seed, scale=scale)
    write(tmp_path, "file,label\na.wav,x\nb.wav,y\nc.wav,x\n", "index.csv")
    validation = folder.load(tmp_path).validate()
    assert len(validation.problems) == 1 and "c.wav: found a peak of" in validation.problems[0]
    assert "1 files have peaks beyond full scale, up to" in validation.remarks[-1]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for name in ("wav/train_0001.wav", "wav/._train_0001.wav", ".git/x.wav", ".Trash-1000/x.wav"):
        write_tone(tmp_path / name)
    write_tone(tmp_path / "wav" / ".ipynb_checkpoints" / "train_0001.wav")
    assert find_recordings([tmp_path])[1] == ["wav/train_0001.wav"]
    write(tmp_path, "")
    (tmp_path / "lab").mkdir()
    write(tmp_path / "lab", "file_name\tlabel\ntrain_0001.wav\tV\n", "ComParE2017_Snore.tsv")
    assert load_any(tmp_path).index["file"].tolist() == ["wav/train_0001.wav"]
    assert load_any(tmp_path).name == "Munich-Passau Snore Sound Corpus"


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "index.csv").mkdir()
    with pytest.raises(CorpusError, match=r"index\.csv: cannot be read \(Is a directory\)"):
        read_table(tmp_path / "index.csv")
    write(tmp_path, "file,label\na.wav," + "x" * 200_000 + "\n")
    with pytest.raises(CorpusError, match=r"table\.csv, line 2: cannot be read \(field larger"):
        read_table(tmp_path / "table.csv")


def test_the_check_command_reports_and_does_not_fail(tmp_path, capsys):
    write(tmp_path, "file;label\r\na.wav;x\r\n", "index.csv")
    assert main(["corpus", "check", str(tmp_path)]) == 2
    assert "problem: row 1: a.wav: found no such file" in capsys.readouterr().out


def test_absent_files_are_found_by_listing_their_folders_once(tmp_path, monkeypatch):
    """Calls stay the same for ten times as many rows, and so does what is printed."""
    listed = os.listdir
    calls, problems = [], []
    for n_rows in (200, 2000):
        rows = "".join(f"d{i % 3}/{i}.wav,x\n" for i in range(n_rows))
        write(tmp_path, f"file,label\n{rows}", "index.csv")
        n_calls = []
        monkeypatch.setattr(os, "listdir", lambda path, n=n_calls: n.append(path) or listed(path))
        problems.append(folder.load(tmp_path).validate().problems)
        monkeypatch.undo()
        calls.append(len(n_calls))
    assert calls[0] == calls[1] < 20
    assert len(problems[1]) == 1 and "(and 1999 more: " in problems[1][0]


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_another_coding_of_a_recording_is_the_same_recording(tmp_path, rng, suffix):
    for name in ("a.wav", "b.wav", "c.wav"):
        y = np.cumsum(rng.standard_normal(30000))
        y = 0.3 * (y - y.mean()) / np.abs(y).max()
        soundfile.write(tmp_path / name, y, 22050)
        if name == "a.wav":
            soundfile.write(tmp_path / f"d{suffix}", 0.8 * y, 22050)
    rows = f"a.wav,x,train\nb.wav,y,train\nc.wav,y,test\nd{suffix},x,test\n"
    write(tmp_path, f"file,label,partition\n{rows}", "index.csv")
    (problem,) = folder.load(tmp_path).validate().problems
    assert problem.startswith(f"d{suffix}: the same recording as a.wav, in partition 'test' and ")
    write(tmp_path, '{"duplicates": "allowed"}', "corpus.json")
    folder.load(tmp_path).check()


def test_silence_and_steady_signals_are_no_copies_of_each_other(tmp_path):
    for i, y in enumerate([np.zeros(4000), np.zeros(4000), np.full(4000, 0.2), np.full(4000, 0.3)]):
        soundfile.write(tmp_path / f"{i}.wav", y, 8000)
    rows = "0.wav,x,train\n1.wav,x,test\n2.wav,y,train\n3.wav,y,test\n"
    write(tmp_path, f"file,label,partition\n{rows}", "index.csv")
    assert folder.load(tmp_path).validate().problems == ()


@pytest.mark.parametrize("frequency_hz", [50, 440, 1000, 3000])
@pytest.mark.parametrize("decay_s", [np.inf, 0.2])
def test_tones_of_one_frequency_are_copies_only_if_they_agree_in_phase(
    tmp_path, frequency_hz, decay_s
):
    t = np.arange(32000) / 16000
    for phase in range(4):
        y = 0.4 * np.exp(-t / decay_s) * np.sin(2 * np.pi * frequency_hz * t + phase)
        soundfile.write(tmp_path / f"{phase}.wav", y, 16000)
    soundfile.write(tmp_path / "copy.wav", y / 2, 16000, subtype="PCM_24")
    names = ["0.wav", "1.wav", "2.wav", "3.wav", "copy.wav"]
    # Tones beyond half the rate of the comparison leave nothing to compare.
    copies = [("3.wav", "copy.wav")] if frequency_hz < twins.RATE / 2 else []
    assert twins.find_twins(tmp_path, dict.fromkeys(names, 2.0)) == copies


@pytest.mark.parametrize("n_clips", [20, 40])
def test_copies_are_looked_for_in_linear_time(tmp_path, rng, monkeypatch, n_clips):
    """Each file is read once, however many are alike in length."""
    names = [f"{i}.wav" for i in range(n_clips)]
    for name in names:
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(2000), 8000)
    read, calls = twins.read_audio, []
    monkeypatch.setattr(twins, "read_audio", lambda *a, **k: calls.append(a) or read(*a, **k))
    assert twins.find_twins(tmp_path, dict.fromkeys(names, 0.25)) == []
    assert len(calls) <= (1 + 2 * twins.N_NEIGHBOURS) * n_clips


def test_a_folder_cannot_say_that_it_is_the_thesis_s_corpus(tmp_path):
    write(tmp_path, "file,label\na.wav,x\n", "index.csv")
    write(tmp_path, '{"kind": "thesis", "name": "G2AME"}', "corpus.json")
    for corpus in (folder.load(tmp_path), load_any(tmp_path), load_corpus("game_genre", tmp_path)):
        assert corpus.kind == "stand-in"
        assert any("says kind 'thesis'" in remark for remark in corpus.remarks)


def test_labels_and_groups_keep_leading_zeros_and_what_looks_like_numbers(tmp_path):
    rows = "a.wav,007,1e5,NA\nb.wav,7,100000,\nc.wav,0.50,-0,nan\n"
    write(tmp_path, f"file,label,group,domain\n{rows}", "index.csv")
    corpus = folder.load(tmp_path)
    assert corpus.labels.tolist() == ["007", "7", "0.50"]
    assert corpus.groups.tolist() == ["1e5", "100000", "-0"]
    assert corpus.domains.tolist() == ["NA", None, "nan"]


def test_quoted_names_hold_delimiters_quotes_and_newlines(tmp_path):
    names = ["a,b.wav", 'c"d.wav', "e;f.wav", "g\nh.wav"]
    for seed, name in enumerate(names):
        write_tone(tmp_path / name, seed)
    pd.DataFrame({"file": names, "label": list("xyxy")}).to_csv(tmp_path / "index.csv", index=False)
    assert folder.load(tmp_path).check().index["file"].tolist() == names
