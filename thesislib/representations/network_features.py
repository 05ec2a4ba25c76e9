"""Deep features of several networks, plots and sources of weights, beside their controls."""

from dataclasses import dataclass, replace
from itertools import product

from thesislib.representations.deep_spectrum import DeepSpectrum
from thesislib.representations.extraction import extract
from thesislib.representations.networks import input_size


@dataclass(frozen=True)
class NetworkFeatures:
    """Features of a corpus from one network and one plot.

    Attributes
    ----------
    network : str
    plot : str or tuple of str
        Name of the plot.
    weights : {"pre-trained", "random"}
    by_seed : dict of int to Extracted
        Pre-trained weights have one seed.
    corpus : str
        Name of the corpus, if there are several.
    """

    network: str
    plot: str
    weights: str
    by_seed: dict
    corpus: str = ""

    def matrices(self, prefix=""):
        """Feature matrix by seed, of the features whose names begin with ``prefix``."""
        return {
            seed: (part.columns(prefix) if prefix else part).matrix
            for seed, part in self.by_seed.items()
        }


def name_weights(source):
    """``random`` or ``pre-trained``: kind of weights of a source."""
    return "random" if source == "random" else "pre-trained"


def extract_networks(*arguments, **options):
    """List of what :func:`iterate_networks` yields."""
    return list(iterate_networks(*arguments, **options))


def iterate_networks(
    corpus,
    networks,
    plots,
    store,
    *,
    weights=None,
    seeds=(0,),
    size_px=0,
    preprocessing="imagenet",
    record=None,
    controls=True,
    **options,
):
    """Extract Deep Spectrum features with each network from each plot.

    A network with pre-trained weights is also evaluated with random weights (contract 6).

    Parameters
    ----------
    corpus : Corpus or dict of str to Corpus
    networks : dict of str to str or list of str
        Network to its layers.
    plots : dict of str or tuple of str to AudioPlot
        By a name each; they are drawn at the network's size.
    store : FeatureStore
    weights : dict of str to str, optional
        Network to ``"imagenet"`` or a file; otherwise random.
    seeds : sequence of int
        Of random weights.
    size_px : int or dict of str to int
        Side of the networks' input; 0 or a missing network: its own.
    preprocessing : str
    record : callable, optional
        ``record(name, weights_id)`` for each network, such as ``run.add_weights``.
    controls : bool
        Whether networks with pre-trained weights are evaluated with random weights, too.
    **options
        ``reading``, ``n_jobs`` and further arguments of
        :func:`~thesislib.representations.extraction.extract`.

    Yields
    ------
    NetworkFeatures
        One network, plot and corpus after the other, so that not all are in memory at once.
    """
    corpora = corpus if isinstance(corpus, dict) else {"": corpus}
    for network, layers in networks.items():
        source = (weights or {}).get(network, "random")
        side = size_px.get(network) if isinstance(size_px, dict) else size_px
        sized = {
            name: replace(plot, size_px=side or input_size(network)) for name, plot in plots.items()
        }
        for origin in dict.fromkeys([source, "random"] if controls else [source]):
            kind = name_weights(origin)
            estimators = {}
            for seed in seeds if kind == "random" else seeds[:1]:
                estimators[seed] = DeepSpectrum(
                    network, layers, origin, preprocessing, random_state=seed
                ).fit()
                if record is not None:
                    which = f"{kind}, seed {seed}" if kind == "random" and len(seeds) > 1 else kind
                    weights_id = estimators[seed].cache_parameters()["weights"]
                    record(f"{network} ({which})", weights_id)
            for (name, plot), (key, each) in product(sized.items(), corpora.items()):
                by_seed = {
                    seed: extract(each, estimator, plot, store, progress=False, **options)
                    for seed, estimator in estimators.items()
                }
                yield NetworkFeatures(network, name, kind, by_seed, key)
