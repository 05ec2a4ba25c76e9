"""Deep convolutional generative adversarial network, DCGAN (thesis chapter 5).

::

    noise (n_noise) ─ projection ─► (maps·2^n, f/2^n, t/2^n) ─ n strided layers ─► (maps, f, t)
        ─ convolution, tanh ─► spectrogram (1, f, t)
    spectrogram ─ convolution ─► (maps, f, t) ─ n strided layers ─► (maps·2^n, f/2^n, t/2^n)
        ─ convolution over the whole plane ─► logit: real or generated

What the thesis leaves open or says twice, and the choice:

- *Layers*: the layer next to the spectrogram has ``n_maps`` maps (Table 5.1) and the size of
  the spectrogram. Each of the ``n_layers`` layers of stride 2 that follow halves the size and
  doubles the maps. The representation consists of these: (64 + 128) · 4 · 4 = 3 072 as in
  Table 8.1.
- *Noise*: uniform in [-1, 1] (5.2); Gaussian in Figure 5.1, as an option.
- *Output of the discriminator*: one logit with the binary cross entropy, since the text's
  softmax over one unit is constant.
- *Kernels*: 4 x 4 in strided layers (a multiple of the stride: no checkerboard), 3 x 3 in
  the others. Leaky slope 0.2. First weights from N(0, 0.02), as Radford et al.
- *Feature matching*: the mean squared difference of the batch means of the last strided
  convolution's activations, real against generated.
- *Size*: any; the spectrogram is padded with silence (-1), at high frequencies and at the end,
  to a multiple of 2^n_layers.
"""

import itertools
import warnings
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn.functional import adaptive_max_pool2d, pad
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from thesislib.errors import ParameterError, check_number, integer, number, option, sequence
from thesislib.representations.saving import SIZE, SavedNetwork, check_spectrogram
from thesislib.training import seeded

# Spectrograms whose features are computed at once: the last bits of a network's output depend
# on the shape of its input.
ROWS = 16
GRID = 4


class CollapseWarning(UserWarning):
    """The discriminator has no useful gradient for the generator."""


@dataclass(eq=False, repr=False)
class DCGAN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SavedNetwork, BaseEstimator):
    """Generative adversarial network; the discriminator's activations are the representation.

    Parameters
    ----------
    n_layers, n_maps : int > 0
        Strided layers of either network, and maps of the layer next to the spectrogram
        (thesis N_layer, N_maps).
    n_noise : int > 0
        Dimensions of the generator's input.
    noise : {"uniform", "gaussian"}
    n_updates : int >= 0
        Updates of each network, the same on corpora of any size, rounded to whole epochs (at least
        one); 0 gives the untrained control. The thesis's ten epochs of 8.1 are 1 090.
    batch_size : int > 1
        An incomplete last batch is dropped; the order differs between epochs.
    learning_rate, beta1 : float
        Of Adam, for both networks.
    feature_matching : bool
        Objective of the generator: match the mean activations of real data, or (false) be
        classified as real.
    leaky_slope : float >= 0
    mixed_precision : bool
        bfloat16 on a GPU.
    device : str
        ``"auto"`` takes a GPU if there is one.
    random_state : int, RandomState or None
    verbose : bool
        Show a progress bar.
    checkpoint : str, Path or None
        Folder for the state after each epoch, from which an interrupted training resumes, and
        for a CSV log of the losses. File names depend on parameters and data, so clones can
        share the folder.

    Attributes
    ----------
    network_ : nn.ModuleDict
        ``generator`` and ``discriminator``.
    history_ : list of dict
        For each epoch ``n_updates`` until its end, ``discriminator_loss`` (cross entropy, real
        plus generated), ``discriminator_accuracy``, ``discriminator_spread`` (standard deviation
        of its logits in a batch) and ``generator_loss``.
    input_shape_ : tuple
        Frequency bands and frames of a spectrogram.

    Warns
    -----
    CollapseWarning
        After training, see :func:`describe_collapse`.

    Examples
    --------
    >>> X = np.random.default_rng(0).uniform(-1, 1, (4, 10, 7))
    >>> dcgan = DCGAN(n_maps=2, n_updates=0).fit(X)
    >>> dcgan.transform(X).shape
    (4, 192)
    >>> dcgan.sample(3).shape
    (3, 10, 7)
    """

    _fitted = {"input_shape_": sequence(SIZE, 2)}  # noqa: RUF012

    n_layers: integer(1, 10) = 2
    n_maps: integer(1, 2**14) = 32
    _: KW_ONLY
    n_noise: integer(1, 2**14) = 100
    noise: option(["uniform", "gaussian"]) = "uniform"
    n_updates: integer(0) = 1090
    batch_size: integer(2) = 32
    learning_rate: number(0, open_low=True) = 2e-4
    beta1: number(0, 0.9999) = 0.5
    feature_matching: bool = True
    leaky_slope: number(0) = 0.2
    mixed_precision: bool = False

    @property
    def _n_features_out(self):
        return sum(self.n_maps * 2**i for i in range(1, self.n_layers + 1)) * GRID**2

    def fit(self, X, y=None):
        """Train generator and discriminator against each other.

        Parameters
        ----------
        X : ndarray, shape (n, n_bands, n_frames)
            Spectrograms in [-1, 1], all of one size; at least two.
        y : ignored

        Raises
        ------
        ParameterError
            Names the parameter or the spectrogram, what was found and what was expected.
        """
        self._check()
        spectrograms = _check_spectrograms(X)
        if len(spectrograms) < 2:
            raise ParameterError("X: found 1 spectrogram, expected at least two")
        self.input_shape_ = spectrograms.shape[1:]
        seed = self._begin()
        generator, discriminator = self.network_["generator"], self.network_["discriminator"]
        data = torch.from_numpy(spectrograms)[:, None]
        batch_size = min(self.batch_size, len(data))
        per_epoch = len(data) // batch_size
        n_epochs = max(1, round(self.n_updates / per_epoch)) if self.n_updates else 0

        def batches(order):
            rows = torch.randperm(len(data), generator=order).split(batch_size)
            return (data[r].to(self.device_) for r in rows if len(r) == batch_size)

        def step_discriminator(real):
            with torch.no_grad():
                generated = generator(self._draw_noise(len(real)))
            # Separate batches: batch statistics over both would reveal which is which.
            for_real, _ = discriminator(real)
            for_generated, _ = discriminator(generated)
            loss = cross_entropy(for_real, torch.ones_like(for_real))
            loss = loss + cross_entropy(for_generated, torch.zeros_like(for_generated))
            right = torch.cat([for_real > 0, for_generated <= 0]).float().mean()
            spread = torch.cat([for_real, for_generated]).detach().float().std()
            return {"loss": loss, "accuracy": right, "spread": spread}

        def step_generator(real):
            logits, activations = discriminator(generator(self._draw_noise(len(real))))
            if not self.feature_matching:
                return {"loss": cross_entropy(logits, torch.ones_like(logits))}
            with torch.no_grad():
                _, wanted = discriminator(real)
            difference = activations[-1].float().mean(0) - wanted[-1].float().mean(0)
            return {"loss": (difference**2).mean()}

        steps = {"discriminator": step_discriminator, "generator": step_generator}
        self._train(
            steps,
            batches,
            [spectrograms],
            seed=seed,
            n_epochs=n_epochs,
            optimisers={
                name: torch.optim.Adam(
                    self.network_[name].parameters(), self.learning_rate, (self.beta1, 0.999)
                )
                for name in steps
            },
            mixed_precision=self.mixed_precision,
        )
        self.history_ = [
            {**row, "n_updates": per_epoch * (i + 1)} for i, row in enumerate(self.history_)
        ]
        collapse = describe_collapse(self.history_)
        if collapse:
            warnings.warn(collapse, CollapseWarning, stacklevel=2)
        return self

    @torch.no_grad()
    def transform(self, X):
        """Activations of the discriminator's strided layers, max-pooled to 4 x 4.

        Parameters
        ----------
        X : ndarray, shape (n, n_bands, n_frames)

        Returns
        -------
        ndarray, shape (n, n_features), float32
            Layer by layer, map by map, 16 numbers each, row by row. A spectrogram's features
            do not depend on its neighbours, to the last bit.
        """
        check_is_fitted(self)
        spectrograms = _check_spectrograms(X, self.input_shape_)
        features = np.empty((len(spectrograms), self._n_features_out), np.float32)
        for begin in range(0, len(spectrograms), ROWS):
            block = torch.from_numpy(spectrograms[begin : begin + ROWS])
            x = torch.zeros(ROWS, 1, *self.input_shape_)
            x[: len(block), 0] = block
            _, activations = self.network_["discriminator"](x.to(self.device_))
            # (batch, maps, frequency, time) -> (batch, maps, 4, 4) -> (batch, maps x 16)
            pooled = [adaptive_max_pool2d(a, GRID).flatten(1) for a in activations]
            features[begin : begin + ROWS] = torch.cat(pooled, 1)[: len(block)].cpu().numpy()
        return features

    @torch.no_grad()
    def sample(self, n, *, random_state=0):
        """Generate spectrograms.

        Parameters
        ----------
        n : int > 0
        random_state : int

        Returns
        -------
        ndarray, shape (n, n_bands, n_frames), float32
            In [-1, 1].
        """
        check_is_fitted(self)
        check_number("n", n, low=1, integer=True)
        with seeded(random_state, self.device_):
            return self.network_["generator"](self._draw_noise(n))[:, 0].cpu().numpy()

    def _draw_noise(self, n):
        if self.noise == "gaussian":
            return torch.randn(n, self.n_noise, device=self.device_)
        return torch.rand(n, self.n_noise, device=self.device_) * 2 - 1

    def _build(self):
        return nn.ModuleDict({"generator": Generator(self), "discriminator": Discriminator(self)})


class Generator(nn.Module):
    """Noise, shape (batch, n_noise), to spectrograms, shape (batch, 1, frequency, time)."""

    def __init__(self, settings):
        super().__init__()
        self.shape, n_layers = settings.input_shape_, settings.n_layers
        maps = [settings.n_maps * 2**i for i in range(n_layers, -1, -1)]
        plane = [size // 2**n_layers for size in _padded(self.shape, n_layers)]
        layers = [
            # (batch, n_noise) -> (batch, maps x frequency x time) -> (batch, maps, frequency, time)
            nn.Linear(settings.n_noise, maps[0] * plane[0] * plane[1], bias=False),
            nn.Unflatten(1, (maps[0], *plane)),
            nn.BatchNorm2d(maps[0]),
            nn.ReLU(),
        ]
        for below, above in itertools.pairwise(maps):
            layers += [
                nn.ConvTranspose2d(below, above, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(above),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(maps[-1], 1, 3, padding=1), nn.Tanh())
        self.apply(_draw_weights)

    def forward(self, noise):
        """Spectrograms, cropped to the size of the real ones."""
        return self.layers(noise)[:, :, : self.shape[0], : self.shape[1]]


class Discriminator(nn.Module):
    """Spectrograms, shape (batch, 1, frequency, time), to logits and activations."""

    def __init__(self, settings):
        super().__init__()
        shape, n_layers, slope = settings.input_shape_, settings.n_layers, settings.leaky_slope
        maps = [settings.n_maps * 2**i for i in range(n_layers + 1)]
        padded = _padded(shape, n_layers)
        # (left, right, top, bottom), as torch pads the last axis first
        self.padding = (0, padded[1] - shape[1], 0, padded[0] - shape[0])
        self.first = nn.Sequential(nn.Conv2d(1, maps[0], 3, padding=1), nn.LeakyReLU(slope))
        self.strided = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(below, above, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(above),
                nn.LeakyReLU(slope),
            )
            for below, above in itertools.pairwise(maps)
        )
        plane = tuple(size // 2**n_layers for size in padded)
        self.last = nn.Conv2d(maps[-1], 1, plane)
        self.apply(_draw_weights)

    def forward(self, x):
        """Logits, shape (batch,), and the activations of each strided layer, a list."""
        x = self.first(pad(x, self.padding, value=-1.0))  # (batch, maps, frequency, time)
        activations = []
        for layer in self.strided:
            x = layer(x)  # (batch, 2 maps, frequency / 2, time / 2)
            activations.append(x)
        return self.last(x).flatten(), activations  # (batch, 1, 1, 1) -> (batch,)


def stack_images(clips):
    """Spectrograms of one size, as a DCGAN takes them: shorter ones end in silence.

    Parameters
    ----------
    clips : sequence of ndarray, shape (n_frames, n_bands)
        In [-1, 1].

    Returns
    -------
    ndarray, shape (n_clips, n_bands, most frames)

    Examples
    --------
    >>> stack_images([np.ones((2, 1)), np.ones((3, 1))])[0].tolist()
    [[1.0, 1.0, -1.0]]
    """
    n_frames = max(map(len, clips))
    return np.stack(
        [np.pad(x.T, ((0, 0), (0, n_frames - len(x))), constant_values=-1) for x in clips]
    )


def describe_collapse(history, *, n_epochs=3):
    """Describe a collapse of the discriminator, or return None.

    Parameters
    ----------
    history : list of dict
        ``history_`` of a :class:`DCGAN`.
    n_epochs : int
        Number of last epochs that must all show the collapse.

    Returns
    -------
    str or None
        *Saturated*: its cross entropy is below 0.01, so the gradient of the plain objective
        nearly vanishes. *Constant*: its logits differ by less than 0.001 within a batch.

    Examples
    --------
    >>> epoch = {"discriminator_loss": 0.001, "discriminator_spread": 9.0}
    >>> describe_collapse([epoch] * 3)
    'the discriminator has collapsed: in the last 3 epochs its loss was below 0.01; ...'
    >>> describe_collapse([epoch] * 2) is None
    True
    """
    last = history[-n_epochs:]
    if len(last) < n_epochs:
        return None
    begin = f"the discriminator has collapsed: in the last {n_epochs} epochs "
    if all(row["discriminator_loss"] < 0.01 for row in last):
        return begin + "its loss was below 0.01; lower the learning rate or n_updates"
    if all(row["discriminator_spread"] < 1e-3 for row in last):
        return begin + "its logits were constant (spread below 0.001)"
    return None


def _padded(shape, n_layers):
    return [-(-size // 2**n_layers) * 2**n_layers for size in shape]


def _draw_weights(module):
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_spectrograms(X, shape=None):
    spectrograms = [check_spectrogram(x, f"X[{i}]") for i, x in enumerate(X)]
    if not spectrograms:
        raise ParameterError("X: found no spectrogram, expected at least one")
    shape = shape or spectrograms[0].shape
    for i, x in enumerate(spectrograms):
        if x.shape != shape:
            raise ParameterError(f"X[{i}]: found shape {x.shape}, expected {tuple(shape)}")
    return np.stack(spectrograms)
