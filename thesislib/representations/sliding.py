"""Chunks of a recording and the mean of their overlapping predictions (thesis 7.2.1, 8.2.1.3).

A detector classifies chunks of τ frames. Consecutive chunks begin ``hop`` frames apart::

    hop = τ            hop = 1 (sliding ensemble)
    |--0--||--1--|     |--0--|
                        |--1--|
                         |--2--|    a frame is in up to τ chunks: the mean of their outputs

Whole clips and live recordings use the same generator, `stream_probabilities`. It works on pieces
of a fixed number of chunks (`PIECE_FRAMES`), not on the blocks in which frames arrive. Memory
therefore does not grow with the recording, and the output does not depend on the blocks, to the
last bit. Within a piece the convolutions are computed once; the recurrent layers then process all
chunks of the piece as one batch.
"""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from thesislib.errors import ParameterError, check_number

PIECE_FRAMES = 1024
CONVOLUTION_FRAMES = 2048  # in one batch, where each chunk is convolved separately


def gather_chunks(network, clip, starts, *, n_frames, convolution_context):
    """Standardised chunks, each with the margins that the convolutions need on either side.

    Parameters
    ----------
    network : nn.Module
        With ``margin``, ``mean`` and ``scale``.
    clip : ndarray, shape (time, frequency)
    starts : sequence of int
        First frame of each chunk.
    n_frames : int
        Frames of a chunk.
    convolution_context : {"clip", "chunk"}
        Whether the margins contain the clip's frames or zeros; beyond the clip they are zeros.

    Returns
    -------
    Tensor, shape (n_chunks, n_frames + 2 * margin, frequency)
    """
    margin, mean = network.margin, network.mean.cpu().numpy()
    reach = margin if convolution_context == "clip" else 0
    x = np.empty((len(starts), n_frames + 2 * margin, len(mean)), np.float32)
    x[:] = mean  # zero, once standardised
    for row, start in zip(x, starts, strict=True):
        first = max(0, start - reach)
        last = max(first, min(len(clip), start + n_frames + reach))
        row[first - start + margin : last - start + margin] = clip[first:last]
    return (torch.from_numpy(x).to(network.mean.device) - network.mean) / network.scale


def predict_clips(detector, X, *, hop):
    """`stream_probabilities` of each of several clips: stacked, or a list for a list."""
    check_is_fitted(detector)
    clips = check_clips(X, "X", n_columns=detector.n_columns_)
    predicted = [
        np.concatenate(list(stream_probabilities(detector, [clip], hop=hop))) for clip in clips
    ]
    return np.stack(predicted) if isinstance(X, np.ndarray) else predicted


def predict_sliding(detector, X):
    """Sliding ensemble: overlapping predictions of a frame, averaged (thesis 8.2.1.3).

    Parameters
    ----------
    detector : FrameDetector
        Fitted, with chunks of ``chunk_frames`` frames (the thesis's τ).
    X : ndarray, shape (n, time, frequency), or list of n arrays (time, frequency)

    Returns
    -------
    ndarray, shape (n, time, classes), float32, or list
        The mean, with equal weights (the thesis leaves them open), over all chunks that contain
        the frame; chunks begin one frame apart.
    """
    return predict_clips(detector, X, hop=1)


def predict_ensemble(detectors, X, *, sliding=True):
    """Mean of the probabilities of several detectors (thesis, Table 8.5).

    Parameters
    ----------
    detectors : sequence of FrameDetector
        Fitted, of different ``chunk_frames``: for babycry 5, 9 and 50 in the thesis.
    X : ndarray, shape (n, time, frequency), or list of n arrays (time, frequency)
    sliding : bool
        Average overlapping chunks of each detector too.

    Returns
    -------
    ndarray, shape (n, time, classes), float32, or list
    """
    if not len(detectors):
        raise ParameterError("detectors: found none, expected at least one")
    each = [predict_sliding(d, X) if sliding else d.predict_proba(X) for d in detectors]
    means = average_clips(each)
    return np.stack(means) if isinstance(X, np.ndarray) else means


def average_clips(members):
    """Mean of several detectors' probabilities, clip by clip (Table 8.5).

    Parameters
    ----------
    members : sequence of list of ndarray, shape (time,)

    Returns
    -------
    list of ndarray, shape (time,), float32

    Examples
    --------
    >>> average_clips([[np.array([0.0, 1.0])], [np.array([1.0, 1.0])]])
    [array([0.5, 1. ], dtype=float32)]
    """
    means = (np.mean(clip, axis=0, dtype=np.float64) for clip in zip(*members, strict=True))
    return [mean.astype(np.float32) for mean in means]


def check_clips(X, name, *, min_frames=1, n_columns=None):
    """Clips as float32 arrays (time, frequency), copied only if they have another type."""
    clips = [np.asarray(clip) for clip in X]
    if not clips:
        raise ParameterError(f"{name}: found no clip, expected at least one")
    for i, clip in enumerate(clips):
        wanted = n_columns or clips[0].shape[-1]
        if clip.ndim != 2 or clip.shape[1] != wanted or not len(clip):
            raise ParameterError(
                f"{name}[{i}]: found shape {clip.shape}, expected (time, {wanted}), time > 0"
            )
        if len(clip) < min_frames:
            raise ParameterError(
                f"{name}[{i}]: found {len(clip)} frames, expected at least a chunk of {min_frames}"
            )
        clips[i] = np.asarray(clip, dtype=np.float32)
        if not np.isfinite(clips[i]).all():
            raise ParameterError(f"{name}[{i}]: found NaN or infinity, expected finite values")
    return clips


@torch.inference_mode()
def stream_probabilities(detector, blocks, *, hop=1):
    """Frame probabilities of a recording of any length, in constant memory.

    Parameters
    ----------
    detector : FrameDetector
        Fitted.
    blocks : iterable of ndarray, shape (time, frequency)
        Consecutive log mel frames, in blocks of any length.
    hop : int
        Frames from one chunk to the next: 1 is the sliding ensemble, ``chunk_frames`` none.

    Yields
    ------
    ndarray, shape (time, classes), float32
        As many frames in total as the blocks have. A frame is returned once all chunks that
        contain it are complete: at most `PIECE_FRAMES` and a chunk later.

    Raises
    ------
    ParameterError
        If a block has another number of columns than the detector was trained on.
    """
    network, length = detector.network_, detector.chunk_frames
    check_number("hop", hop, low=1, high=length, integer=True)
    if not network.sees_chunks and detector.convolution_context == "clip":
        hop = length  # a frame's prediction is the same in each chunk
    n_chunks = max(1, PIECE_FRAMES // hop)
    step, margin = n_chunks * hop, network.margin
    frames = np.empty((0, detector.n_columns_), np.float32)  # the recording from ``origin`` on
    total = _Total(detector.n_outputs_)
    origin = start = 0  # first frame in memory; first frame of the next chunk
    for block in blocks:
        block = np.asarray(block, np.float32)
        if block.ndim != 2 or block.shape[1] != detector.n_columns_:
            raise ParameterError(
                f"blocks: found shape {block.shape}, expected (time, {detector.n_columns_})"
            )
        frames = np.concatenate([frames, block])
        # The last chunk of a piece begins at start + step - hop; its right margin must be there.
        while origin + len(frames) >= start + step - hop + length + margin:
            starts = np.arange(start, start + step, hop)
            total.add(starts, _predict_chunks(detector, frames, starts - origin))
            start += step
            yield total.pop(start)
            dropped = max(0, start - margin - origin)
            frames, origin = frames[dropped:], origin + dropped
    end = origin + len(frames)
    if start < end or total.end < end:
        starts = np.arange(start, max(end - length, 0) + 1, hop)
        for begin in range(0, len(starts), n_chunks):
            some = starts[begin : begin + n_chunks]
            total.add(some, _predict_chunks(detector, frames, some - origin))
        if total.end < end:  # the last chunk ends with the recording
            last = np.array([max(0, end - length)])
            probabilities = _predict_chunks(detector, frames, last - origin)
            fresh = total.end - last[0]
            total.add(last + fresh, probabilities[:, fresh:])  # frames of no other chunk
        yield total.pop(end)


class _Total:
    """Sums of overlapping predictions for the frames that are not complete yet."""

    def __init__(self, n_outputs):
        self.first, self.sums = 0, np.zeros((0, n_outputs))
        self.counts = np.zeros((0, 1))

    @property
    def end(self):
        return self.first + len(self.sums)

    def add(self, starts, probabilities):
        """Add predictions (chunk, time, classes) of chunks that begin at ``starts``."""
        missing = starts[-1] + probabilities.shape[1] - self.end
        if missing > 0:
            self.sums = np.pad(self.sums, ((0, missing), (0, 0)))
            self.counts = np.pad(self.counts, ((0, missing), (0, 0)))
        for i in range(probabilities.shape[1]):  # starts differ, so no row occurs twice
            self.sums[starts - self.first + i] += probabilities[:, i]
            self.counts[starts - self.first + i] += 1

    def pop(self, stop):
        """Means of the frames before ``stop``, which are removed."""
        n = min(stop - self.first, len(self.sums))
        mean = (self.sums[:n] / self.counts[:n]).astype(np.float32)
        self.sums, self.counts, self.first = self.sums[n:], self.counts[n:], self.first + n
        return mean


def _predict_chunks(detector, frames, starts):
    """Probabilities (chunk, time, classes) of the chunks that begin at ``starts`` in ``frames``."""
    network, length = detector.network_, detector.chunk_frames
    margin, alone = network.margin, detector.convolution_context == "chunk"
    if alone and length < 2 * margin:
        features = _convolve_alone(network, frames, starts, length)
    else:
        # One convolution over all chunks: separately, each frame would be convolved τ times.
        span = int(starts[-1] - starts[0]) + length
        piece = gather_chunks(
            network, frames, starts[:1], n_frames=span, convolution_context="clip"
        )
        rows = torch.from_numpy(starts - starts[0])[:, None] + torch.arange(length)
        features = network.convolve(piece)[0]  # (span, features)
        features = features[rows.to(features.device)]  # (chunk, time, features)
        if alone and margin:
            # A chunk that ends in zeros differs only near its borders: compute these again.
            ends, width = starts + length - 2 * margin, 2 * margin
            first = _convolve_alone(network, frames, starts, width, columns=slice(3 * margin))
            last = _convolve_alone(network, frames, ends, width, columns=slice(margin, None))
            features[:, :margin], features[:, length - margin :] = first, last
    logits = network.decide(features)
    softmax = detector.output == "softmax"
    return (logits.softmax(-1) if softmax else logits.sigmoid()).cpu().numpy()


def _convolve_alone(network, frames, starts, n_frames, columns=slice(None)):
    """Features of chunks with zeros on either side, a few chunks at a time."""
    n = max(1, CONVOLUTION_FRAMES // n_frames)
    gathered = (
        gather_chunks(
            network, frames, starts[i : i + n], n_frames=n_frames, convolution_context="chunk"
        )
        for i in range(0, len(starts), n)
    )
    return torch.cat([network.convolve(piece[:, columns]) for piece in gathered])
