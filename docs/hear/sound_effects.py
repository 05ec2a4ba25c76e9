"""aiSFX (sound effects; Ma and Lerch, ISMIR 2022) behind the interface of the HEAR benchmark.

    pip install --no-deps aisfx==0.1.2
    thesis features my-recordings -r hear:docs/hear/sound_effects.py -o sound_effects.csv

The package contains its weights (CC BY 4.0). The spectrogram is librosa's; the authors used
Essentia's, so embeddings differ slightly from theirs.
"""

from pathlib import Path

import aisfx
import librosa
import numpy as np
import torch
from aisfx.models.cnn2d import CrossNet, EmbeddingNet

MEL = {"n_fft": 2048, "hop_length": 1024, "n_mels": 96, "htk": True, "norm": 1, "fmax": 22_050}
GREATEST = 9.457798957824707  # of the spectrograms that the network was trained on
N_FRAMES, HOP = 100, 50  # of a chunk
# The numbers of classes in the file are NumPy's; nothing else than tensors and these is read.
SCALAR = (np._core.multiarray.scalar, "numpy.core.multiarray.scalar")
NUMBERS = [SCALAR, np.dtype, np.dtypes.Int64DType]


def load_model(model_file_path=""):
    """Read the weights of the package, or of a file."""
    path = model_file_path or Path(aisfx.__file__).parent / "models" / "checkpoint.pth"
    with torch.serialization.safe_globals(NUMBERS):
        weights, classes = torch.load(path, map_location="cpu", weights_only=True)
    model = CrossNet(EmbeddingNet("max", 3, 1, 64), classes, "cpu")
    model.load_state_dict(weights)
    model.sample_rate = 44_100
    model.scene_embedding_size = model.timestamp_embedding_size = model.hl4
    return model.eval()


def compute_chunks(y, sr):
    """Chunks of a log-mel spectrogram, (n_chunks, N_FRAMES, 96), the last one padded."""
    y = y / (np.abs(y).max() or 1)
    spectrum = np.log10(1e4 * librosa.feature.melspectrogram(y=y, sr=sr, **MEL).T + 1) / GREATEST
    n_chunks = 1 + max(0, -(-(len(spectrum) - N_FRAMES) // HOP))
    padded = np.pad(spectrum, ((0, (n_chunks - 1) * HOP + N_FRAMES - len(spectrum)), (0, 0)))
    return np.stack([padded[k * HOP : k * HOP + N_FRAMES] for k in range(n_chunks)])


def get_timestamp_embeddings(audio, model):
    """Embeddings of chunks of 2.3 s, every 1.2 s, and their centres in ms."""
    chunks = [compute_chunks(y, model.sample_rate) for y in np.asarray(audio, dtype=np.float32)]
    with torch.no_grad():
        x = torch.as_tensor(np.stack(chunks), dtype=torch.float32)
        embeddings = model.get_embedding(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    frames = torch.arange(x.shape[1]) * HOP + N_FRAMES / 2
    centres_ms = frames * MEL["hop_length"] * 1000 / model.sample_rate
    return embeddings, centres_ms.expand(len(x), -1)


def get_scene_embeddings(audio, model):
    """Mean over the chunks."""
    return get_timestamp_embeddings(audio, model)[0].mean(dim=1)
