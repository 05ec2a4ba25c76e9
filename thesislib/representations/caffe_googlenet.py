"""The GoogLeNet of Caffe's model zoo (thesis 4.2.2, Figure 4.4; Szegedy et al. 2015).

The network as published: local response normalisation over 5 channels (alpha 1e-4, which torch
divides by the number of channels as Caffe does; beta 0.75), max-pooling that rounds up, 5 x 5
kernels; without the side classifiers, which are for training. torchvision's GoogLeNet is another.
"""

import torch
from torch import nn


class CaffeGoogLeNet(nn.Module):
    """GoogLeNet with 58 layers and 7.0 million parameters.

    Names of the parameters are Caffe's: ``conv1/7x7_s2.weight``,
    ``inception_3a/5x5_reduce.bias``, ..., ``loss3/classifier.weight``. Input is BGR, 0...255,
    minus (104, 117, 123), at least 33 pixels wide and high. ``pool5`` is the last average pooling.

    Examples
    --------
    >>> model = CaffeGoogLeNet()
    >>> sum(p.numel() for p in model.parameters())
    6998552
    """

    # 1x1, 3x3 reduced to and 3x3, 5x5 reduced to and 5x5, projection after the pooling.
    _INCEPTIONS = {  # noqa: RUF012
        "inception_3a": (64, 96, 128, 16, 32, 32),
        "inception_3b": (128, 128, 192, 32, 96, 64),
        "inception_4a": (192, 96, 208, 16, 48, 64),
        "inception_4b": (160, 112, 224, 24, 64, 64),
        "inception_4c": (128, 128, 256, 24, 64, 64),
        "inception_4d": (112, 144, 288, 32, 64, 64),
        "inception_4e": (256, 160, 320, 32, 128, 128),
        "inception_5a": (256, 160, 320, 32, 128, 128),
        "inception_5b": (384, 192, 384, 48, 128, 128),
    }

    def __init__(self):
        super().__init__()
        self._add("conv1/7x7_s2", 3, 64, 7, stride=2)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self._add("conv2/3x3_reduce", 64, 64, 1)
        self._add("conv2/3x3", 64, 192, 3)
        self.norm2 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        width = 192
        for name, (one, reduce3, three, reduce5, five, pool) in self._INCEPTIONS.items():
            self._add(f"{name}/1x1", width, one, 1)
            self._add(f"{name}/3x3_reduce", width, reduce3, 1)
            self._add(f"{name}/3x3", reduce3, three, 3)
            self._add(f"{name}/5x5_reduce", width, reduce5, 1)
            self._add(f"{name}/5x5", reduce5, five, 5)
            self.add_module(f"{name}/pool", nn.MaxPool2d(3, stride=1, padding=1))
            self._add(f"{name}/pool_proj", width, pool, 1)
            width = one + three + five + pool
            if name in ("inception_3b", "inception_4e"):
                number = int(name[-2])
                self.add_module(f"pool{number}", nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.pool5 = nn.AdaptiveAvgPool2d(1)
        self.add_module("loss3/classifier", nn.Linear(width, 1000))

    def _add(self, name, n_in, n_out, size, stride=1):
        self.add_module(name, nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2))

    def _conv(self, name, x):
        return self._modules[name](x).relu()

    def _inception(self, name, x):
        branches = [
            self._conv(f"{name}/1x1", x),
            self._conv(f"{name}/3x3", self._conv(f"{name}/3x3_reduce", x)),
            self._conv(f"{name}/5x5", self._conv(f"{name}/5x5_reduce", x)),
            self._conv(f"{name}/pool_proj", self._modules[f"{name}/pool"](x)),
        ]
        return torch.cat(branches, dim=1)

    def forward(self, x):
        """Logits (n, 1000) of a batch (n, 3, height, width)."""
        x = self.norm1(self.pool1(self._conv("conv1/7x7_s2", x)))
        x = self._conv("conv2/3x3", self._conv("conv2/3x3_reduce", x))
        x = self.pool2(self.norm2(x))
        for name in self._INCEPTIONS:
            x = self._inception(name, x)
            if name in ("inception_3b", "inception_4e"):
                x = self._modules[f"pool{name[-2]}"](x)
        x = self.pool5(x).flatten(1)
        return self._modules["loss3/classifier"](x)
