"""The commands ``thesis features`` and ``thesis bag``: only parsing, as in `thesislib.cli`."""

import sys
from pathlib import Path

from thesislib.cli_options import add_cluster, assignment, given_options


def add_features(commands):
    """Add the command ``thesis features``."""
    command = commands.add_parser(
        "features",
        help="compute a representation of recordings",
        description="A table of features: a row a clip, a chunk or a frame. Files that cannot be "
        "used are listed at the end; the exit code is 1 if there are any, 2 if an option, a label "
        "or the output is wrong, which is found out before any work.",
    )
    command.add_argument("audio", nargs="+", type=Path, metavar="AUDIO", help="files or folders")
    command.add_argument(
        "-r",
        "--representation",
        required=True,
        metavar="NAME",
        help="deep-spectrum, ComParE_2016, IS09, IS10; frames: ComParE_2016-lld, IS09-lld, mfcc39; "
        "band-statistics; learnt from the audio given: bag, s2sae, dcgan; from the events in it "
        "(--labels with onset_s, offset_s, label): crnn (frames), crnn-dense",
    )
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE.parquet|.csv|.arff|DIR",
        help="a table; or a folder of Parquet shards, for corpora of any size",
    )
    command.add_argument("--shards", type=int, metavar="N", help="clips of a shard (default: 1000)")
    command.add_argument(
        "--openxbow", action="store_true", help="write frames as 'thesis bag' reads them (.csv)"
    )
    command.add_argument("--jobs", type=int, metavar="N", help="worker processes (default: cores)")
    add_cluster(command)
    command.add_argument(
        "--store", metavar="DIR|none", help="feature store (default: the project's)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="N")
    command.add_argument(
        "--on-error",
        default="collect",
        choices=["collect", "raise"],
        help="bad files leave a table of the good ones (default), or none",
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar, no remarks")
    _add_reading(command.add_argument_group("reading"))
    _add_labels(command.add_argument_group("labels"))
    # From here on, what is not given stays None: each representation takes its own options.
    group = command.add_argument_group("spectra and audio plots")
    group.add_argument("--style", help="thesis (default) or deepspectrum")
    group.add_argument("--kind", help="spectrogram, mel or chroma")
    group.add_argument("--delta", action="store_true", default=None, help="first-order deltas")
    group.add_argument("--n-mels", type=int, metavar="N")
    group.add_argument("--n-fft", type=int, metavar="N", help="window in samples, hop half of it")
    group.add_argument("--window", dest="window_s", type=float, metavar="S")
    group.add_argument("--hop", dest="hop_s", type=float, metavar="S", help="default: half")
    group.add_argument("--top-hz", type=float, metavar="HZ", help="highest frequency")
    group.add_argument("--clip-below", dest="clip_below_db", type=float, metavar="DB")
    group.add_argument("--frequency-axis", help="linear, log or mel")
    group.add_argument("--colour-map", metavar="NAME", help="any of matplotlib's")
    group.add_argument("--size", dest="size_px", type=int, metavar="PX", help="of the plots")
    group.add_argument("--save-plots", type=Path, metavar="DIR", help="keep the plots as PNG")
    group = command.add_argument_group("networks")
    group.add_argument("--network", metavar="NAME", help="default: alexnet")
    group.add_argument("--layer", action="append", metavar="NAME", help="may be repeated")
    group.add_argument("--weights", metavar="imagenet|random|FILE")
    group.add_argument("--preprocessing", metavar="imagenet|deepspectrum")
    group.add_argument("--precision", metavar="float32|bfloat16|float16", help="default: float32")
    group.add_argument("--epochs", dest="n_epochs", type=int, metavar="N")
    group.add_argument("--model", metavar="FILE", help="use this trained model (crnn: a folder)")
    group.add_argument("--save-model", metavar="FILE", help="crnn: a folder")
    group = command.add_argument_group("bags")
    group.add_argument("--frames", metavar="NAME", help="what is counted: frames, deep-spectrum")
    group.add_argument(
        "--streams", action="store_true", default=None, help="a codebook each for LLDs and deltas"
    )
    _add_codebook(group, "--codebook-size")
    command.add_argument(
        "-p",
        dest="parameters",
        action="append",
        type=assignment,
        metavar="name=value",
        help="any other parameter of the estimator; may be given several times",
    )
    command.set_defaults(function=_features)


def _add_reading(group):
    group.add_argument("--sr", type=int, metavar="HZ", help="resample (default: as it comes)")
    group.add_argument("--channel", default="mean", choices=["mean", "left", "right", "difference"])
    group.add_argument("--start", dest="start_s", type=float, metavar="S")
    group.add_argument("--end", dest="end_s", type=float, metavar="S", help="a time, no duration")
    group.add_argument("--chunk", dest="chunk_s", type=float, metavar="S", help="a row a chunk")
    group.add_argument("--chunk-hop", dest="chunk_hop_s", type=float, metavar="S")
    group.add_argument(
        "--last",
        default="pad",
        choices=["pad", "keep", "drop"],
        help="a last chunk that is too short: fill up with zeros (default), keep as it is, drop",
    )
    group.add_argument("--save-audio", type=Path, metavar="DIR", help="keep what was read as WAV")


def _add_labels(group):
    group.add_argument(
        "--labels",
        metavar="folder|FILE.csv|FILE.tsv",
        help="the name of each file's folder; or a table with a column file, others are labels",
    )
    group.add_argument("--label", metavar="VALUE", help="one label for all")
    group.add_argument("--nominal", action="store_true", help="numbers are names of classes")
    group.add_argument("--unlabelled", action="store_true", help="allow files without a label")


def _add_codebook(group, size):
    """Options of a bag, here and there; what is not given stays None."""
    group.add_argument("--codebook", metavar="FILE", help="use this one; else one is learnt")
    group.add_argument(size, dest="codebook_size", type=int, metavar="N", help="words")
    group.add_argument("--n-assign", type=int, metavar="N", help="nearest words that count")
    group.add_argument("--sampling", choices=["random", "random++", "kmeans"])
    group.add_argument("--scale", choices=["minmax", "zscore", "none"])
    group.add_argument("--log", action="store_true", default=None, help="log10(tf + 1)")
    group.add_argument("--idf", action="store_true", default=None)
    group.add_argument("--norm", choices=["none", "frames", "tf", "l2"])
    group.add_argument("--gaussian", type=float, metavar="S", help="soft counts of this width")
    group.add_argument("--off", type=float, metavar="D", help="words further away count nothing")
    group.add_argument("--save-codebook", metavar="FILE")


def _features(options):
    import warnings

    from joblib import cpu_count

    from thesislib.errors import AudioError
    from thesislib.export.features import write_features
    from thesislib.representations.extract import Reading
    from thesislib.store import lock
    from thesislib.workers import open_cluster

    given = given_options(options)
    given["reading"] = Reading(
        hop_s=given.pop("chunk_hop_s"),
        **{name: given.pop(name) for name in ("sr", "channel", "chunk_s", "last")},
    )
    given["parameters"] = dict(given["parameters"] or {})
    given["store"] = _open_store(given["store"])
    jobs, seed, quiet = given.pop("jobs"), given.pop("seed"), given.pop("quiet")
    show = not quiet and sys.stderr.isatty()
    given |= {"n_jobs": cpu_count() if jobs is None else jobs, "random_state": seed}
    dask = given.pop("dask")
    try:
        with (
            open_cluster(dask, n_workers=given["n_jobs"]),
            warnings.catch_warnings(record=True) as warned,
            lock(options.output),
        ):
            outcome = write_features(progress=show, **given)
    except AudioError as error:
        print(f"thesis features: {error}", file=sys.stderr)
        return 1
    if not quiet:
        for remark in [*outcome.remarks, *(warning.message for warning in warned)]:
            print(f"remark: {remark}", file=sys.stderr)
    if outcome.n_clips:
        size = f"{outcome.n_clips} clips, {outcome.n_rows} rows, {outcome.n_features} features"
        print(f"{options.output}: {size}")
    if not outcome.errors:
        return 0
    n_files = outcome.n_clips + len(outcome.errors)
    what = "are not in the table" if outcome.n_clips else "cannot be used; no table was written"
    lines = [f"thesis features: {len(outcome.errors)} of {n_files} files {what}:"]
    lines += [f"  - {name}: {reason}" for name, reason in outcome.errors.items()]
    print("\n".join(lines), file=sys.stderr)
    return 1


def _open_store(folder):
    from thesislib.errors import ThesisError
    from thesislib.places import store_folder
    from thesislib.store import FeatureStore

    if folder is None:
        try:
            folder = store_folder()
        except ThesisError:  # installed without a checkout
            return None
    return None if str(folder) == "none" else FeatureStore(folder)


def add_bag(commands):
    """Add the command ``thesis bag``."""
    command = commands.add_parser("bag", help="bags of frames, from and to openXBOW's CSV")
    command.add_argument(
        "frames",
        type=Path,
        metavar="FRAMES.csv|DIR",
        help="name;value;value;…; or shards of frames, as thesis features writes them",
    )
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="BAGS.csv|DIR", help="of the same kind"
    )
    command.add_argument("--jobs", type=int, metavar="N", help="worker processes, for shards")
    add_cluster(command)
    command.add_argument("--seed", type=int, metavar="N", help="of the codebook (default: 0)")
    command.add_argument(
        "--stream-widths", type=int, nargs="+", metavar="N", help="columns of each stream"
    )
    _add_codebook(command, "--size")
    command.set_defaults(function=_bag)


def _bag(options):
    given = given_options(options)
    given |= {"norm": options.norm or "none", "log": bool(options.log), "idf": bool(options.idf)}
    frames, output, seed = given.pop("frames"), given.pop("output"), given.pop("seed")
    jobs, dask = given.pop("jobs"), given.pop("dask")
    if frames.is_dir():
        from joblib import cpu_count

        from thesislib.export.shard_bags import bag_folder
        from thesislib.workers import open_cluster

        with open_cluster(dask, n_workers=jobs):
            bag_folder(frames, output, n_jobs=jobs or cpu_count(), random_state=seed, **given)
        return
    from thesislib.export.openxbow import bag_csv

    bag_csv(frames, output, random_state=seed, **given)
