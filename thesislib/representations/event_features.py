"""What detectors of events answer, as features: probabilities, or a dense layer (thesis 7.2).

A row a frame with a probability a class, or one vector a chunk or clip: the mean over its frames
of the activations of each network's fully connected layer. The thesis takes no features from its
CRNN; the second is what Deep Spectrum takes from a CNN (4.2), taken from this one.
"""

import tempfile

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import ParameterError, check_option
from thesislib.representations.event_training import fit_detectors
from thesislib.representations.frame_detector import label_frames
from thesislib.representations.sliding import check_clips, gather_chunks, predict_ensemble
from thesislib.store import FeatureStore
from thesislib.training import limit_threads

OUTPUTS = ("probability", "dense")
# Chunks that go through a network at a time.
N_CHUNKS = 64


class EventFeatures(BaseEstimator):
    """Features of log mel frames from detectors, one or several a class.

    Parameters
    ----------
    detector : CRNN, optional
        Unfitted; trained once for each class, against all other frames. Not needed if
        ``classes`` is given.
    classes : dict of str to list of CRNN, optional
        Fitted detectors of one output, whose probabilities are averaged.
    output : {"probability", "dense"}
        Probabilities a frame; or the mean over all frames of what the fully connected layer
        passes on, network by network.
    sliding : bool
        Average the probabilities of overlapping chunks.

    Attributes
    ----------
    classes_ : dict of str to list of CRNN

    Examples
    --------
    >>> from thesislib.representations.crnn import CRNN
    >>> X = list(np.random.default_rng(0).normal(size=(2, 20, 32)).astype(np.float32))
    >>> crnn = CRNN(5, n_filters=(2, 2), n_units=4, n_dense=3, n_epochs=1)
    >>> dog = {"dog": [np.repeat([0, 1], 10), np.zeros(20, int)]}
    >>> frames = EventFeatures(crnn).fit(X, dog)
    >>> frames.transform(X)[0].shape, frames.get_feature_names_out()
    ((20, 1), array(['probability_dog'], dtype=object))
    >>> EventFeatures(classes=frames.classes_, output="dense").fit().transform(X).shape
    (2, 3)
    """

    _version = 1

    def __init__(self, detector=None, *, classes=None, output="probability", sliding=True):
        self.detector = detector
        self.classes = classes
        self.output = output
        self.sliding = sliding

    def fit(self, X=None, y=None, *, store=None, n_jobs=1):
        """Train a detector for each class, unless there are some.

        Parameters
        ----------
        X : list of n arrays (time, frequency), optional
        y : dict of str to list of n arrays (time,), optional
            Frame labels of each class.
        store : FeatureStore, optional
            Keeps the networks; a training that was killed goes on from its last epoch.
        n_jobs : int
            Classes that train side by side; the weights do not depend on it.

        Raises
        ------
        ParameterError
            Names the parameter or the clip, what was found and what was expected.
        """
        self._check()
        if self.classes is not None:
            self.classes_ = self.classes
            return self
        tasks = {label: (self.detector, (X, labels), ()) for label, labels in y.items()}
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit_detectors(tasks, store or FeatureStore(folder), n_jobs=n_jobs)
        self.classes_ = {label: [network] for label, network in fitted.items()}
        return self

    def transform(self, X):
        """Features of clips.

        Parameters
        ----------
        X : list of n arrays (time, frequency)

        Returns
        -------
        list of n arrays (time, classes), or ndarray, shape (n, n_features), float32
            Probabilities; or dense activations.
        """
        check_is_fitted(self, "classes_")
        # One thread: the last bits depend on their number.
        with limit_threads(1):
            if self.output == "dense":
                networks = [network for _, network in self._networks()]
                vectors = [[_embed(network, [clip]) for network in networks] for clip in X]
                return np.stack([np.concatenate(parts) for parts in vectors])
            each = [
                predict_ensemble(members, list(X), sliding=self.sliding)
                for members in self.classes_.values()
            ]
        return [np.concatenate(clip, axis=1) for clip in zip(*each, strict=True)]

    def get_feature_names_out(self, input_features=None):
        """``probability_<class>``, or ``dense_<class>_<network>_<unit>``."""
        check_is_fitted(self, "classes_")
        if self.output == "probability":
            names = [f"probability_{label}" for label in self.classes_]
        else:
            names = [
                f"dense_{name}_{unit}"
                for name, network in self._networks()
                for unit in range(network.n_dense)
            ]
        return np.array(names, dtype=object)

    def cache_parameters(self):
        """Plain values that, with a clip, determine its features."""
        check_is_fitted(self, "classes_")
        networks = [(name, network.cache_parameters()) for name, network in self._networks()]
        about = {"output": self.output, "sliding": self.sliding, "version": self._version}
        return about | {"networks": networks}

    def _networks(self):
        for label, members in self.classes_.items():
            yield from ((f"{label}_{i}", member) for i, member in enumerate(members))

    def _check(self):
        check_option("output", self.output, OUTPUTS)
        if self.classes is None:
            if self.detector is None:
                raise ParameterError("detector: found None, expected one, or fitted classes")
            if self.detector.output != "sigmoid":
                raise ParameterError("output: found 'softmax', expected 'sigmoid', a class each")
            self.detector._check()


def fit_events(features, pieces, places, events, *, hop_s, store=None, n_jobs=1):
    """Train `EventFeatures` on pieces of recordings and the events in these.

    Parameters
    ----------
    features : EventFeatures
    pieces : list of ndarray, shape (time, frequency)
    places : list of (recording, start_s)
        Where each piece begins in which recording.
    events : list of list of (onset_s, offset_s, label), or None
        Of each recording, as `thesislib.corpora.annotations.read_events` gives them; None
        keeps a recording out of the training.
    hop_s : float > 0
        Seconds between frames.
    store, n_jobs
        As in `EventFeatures.fit`.

    Returns
    -------
    n_short : int
        Pieces of annotated recordings that are shorter than the network's chunk: left out.

    Raises
    ------
    ParameterError
        If no event is left to learn from.
    """
    heard = [i for i, (recording, _) in enumerate(places) if events[recording] is not None]
    used = [i for i in heard if len(pieces[i]) >= features.detector.chunk_frames]
    frames = [(*places[i], len(pieces[i])) for i in used]
    y = {
        label: found
        for label, found in label_pieces(events, frames, hop_s=hop_s).items()
        if any(map(np.any, found))
    }
    if not y:
        raise ParameterError(
            f"labels: found no event in {len(used)} pieces of at least chunk_frames = "
            f"{features.detector.chunk_frames} frames, expected one at least"
        )
    features.fit([pieces[i] for i in used], y, store=store, n_jobs=n_jobs)
    return len(heard) - len(used)


def label_pieces(events, pieces, *, hop_s):
    """Frame labels of pieces of recordings, by class.

    Parameters
    ----------
    events : list of list of (onset_s, offset_s, label)
        Of each recording.
    pieces : list of (recording, start_s, n_frames)
        Where each piece begins in which recording.
    hop_s : float > 0
        Seconds between frames.

    Returns
    -------
    dict of str to list of ndarray, shape (n_frames,), uint8
        Classes sorted by name; an event at a border counts in the piece it reaches into.

    Examples
    --------
    >>> label_pieces([[(0.9, 1.2, "dog")]], [(0, 0.0, 5), (0, 1.0, 5)], hop_s=0.2)
    {'dog': [array([0, 0, 0, 0, 1], dtype=uint8), array([1, 0, 0, 0, 0], dtype=uint8)]}
    """
    labels = {}
    named = {name for recording, *_ in pieces for *_, name in events[recording]}
    for label in sorted(named):
        labels[label] = []
        for recording, start_s, n_frames in pieces:
            # An event that has ended before the piece begins is none of its.
            times = [
                (max(onset_s - start_s, 0.0), offset_s - start_s)
                for onset_s, offset_s, name in events[recording]
                if name == label and offset_s > start_s
            ]
            onsets_s, offsets_s = zip(*times) if times else ((), ())
            labels[label].append(label_frames(onsets_s, offsets_s, n_frames=n_frames, hop_s=hop_s))
    return labels


@torch.inference_mode()
def _embed(network, clips):
    """Mean over all frames of what reaches the output layer, shape (n_dense,)."""
    (clip,) = check_clips(clips, "X", n_columns=network.n_columns_)
    length, seen = network.chunk_frames, []
    starts = [*range(0, len(clip), length)]
    # The last chunk ends with the clip; only those of its frames count that no other has.
    starts[-1] = max(0, len(clip) - length)
    hook = network.network_.output.register_forward_pre_hook(
        lambda layer, given: seen.append(given[0])
    )
    try:
        for begin in range(0, len(starts), N_CHUNKS):
            chunks = gather_chunks(
                network.network_,
                [clip],
                [(0, start) for start in starts[begin : begin + N_CHUNKS]],
                n_frames=length,
                convolution_context=network.convolution_context,
            )
            network.network_(chunks)
    finally:
        hook.remove()
    dense = torch.cat(seen)
    if len(clip) > length:
        last = dense[-(len(clip) - length * (len(starts) - 1)) :]
        dense = torch.cat([dense[: length * (len(starts) - 1)], last])
    return dense[: len(clip)].mean(0, dtype=torch.float64).float().cpu().numpy()
