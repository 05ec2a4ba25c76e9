"""Network of the sequence-to-sequence autoencoder (thesis chapter 6, Figure 6.2).

`thesislib.representations.s2sae` describes the architecture and its choices. Batches are padded
clips, shape (batch, time, frequency), with ``lengths``, an integer tensor, shape (batch,), on the
CPU. The padding has no effect on codes or losses: the encoder gets packed sequences, and in the
decoder the padding comes after the clip's frames and is excluded from the loss.
"""

import torch
from torch import nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

CELLS = {"GRU": nn.GRU, "LSTM": nn.LSTM}
DECODER_INPUTS = ("teacher", "previous", "none")


class Autoencoder(nn.Module):
    """Encoder, code and one decoder for each direction.

    Parameters
    ----------
    settings : S2SAE
        Its parameters, ``n_features_in_`` and ``code_size`` are read.
    """

    def __init__(self, settings):
        super().__init__()
        n_bands, n_layers, n_units = settings.n_features_in_, settings.n_layers, settings.n_units
        self.decoder_input, self.reverse_target = settings.decoder_input, settings.reverse_target
        self.attention, self.encoder_noise = settings.attention, settings.encoder_noise
        rate = settings.dropout
        self.dropout_in = rate if settings.dropout_on == "inputs_and_outputs" else 0.0
        # Between two layers a value passes the dropout of an output, then that of an input. Both
        # together act as one dropout, whose keep rate is the product of the two keep rates.
        between = 1 - (1 - rate) * (1 - self.dropout_in)
        stack = {
            "hidden_size": n_units,
            "num_layers": n_layers,
            "batch_first": True,
            "dropout": between if n_layers > 1 else 0.0,
        }
        cell, n_states = CELLS[settings.cell], 2 if settings.cell == "LSTM" else 1
        self.encoder = cell(n_bands, bidirectional=settings.bidirectional_encoder, **stack)
        width = n_units * (2 if settings.bidirectional_encoder else 1)
        self.code = nn.Linear(n_layers * width * n_states, settings.code_size)
        self.decoders = nn.ModuleList(
            Decoder(
                cell(n_bands, **stack),
                memory_width=width if self.attention else 0,
                dropout_in=self.dropout_in,
                dropout_out=rate,
                tanh=settings.tanh_output,
            )
            for _ in range(2 if settings.bidirectional_decoder else 1)
        )
        # Axes of the code, in this order: one initial state for each.
        self.state_shape = (len(self.decoders), n_states, n_layers, n_units)
        if settings.gate_bias is not None:
            # Order of the gates in torch: reset, update, new; of an LSTM: input, forget, ….
            gates = slice(n_units, 2 * n_units) if n_states == 2 else slice(2 * n_units)
            stacks = [self.encoder, *(decoder.stack for decoder in self.decoders)]
            with torch.no_grad():
                for name, bias in (pair for s in stacks for pair in s.named_parameters()):
                    if name.startswith("bias"):  # of two that are added
                        bias[gates] = settings.gate_bias if name.startswith("bias_ih") else 0.0

    def encode(self, x, lengths):
        """Codes, shape (batch, code size), and the memory of attention (or None)."""
        x = dropout(x, self.dropout_in, self.training)
        if self.training and self.encoder_noise:
            is_clean = torch.rand(x.shape[:2], device=x.device) >= self.encoder_noise
            x = x * is_clean[..., None]  # (batch, time, frequency) x (batch, time, 1)
        if _differ(lengths):
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, final = self.encoder(packed)
        else:
            out, final = self.encoder(x)
        # h (GRU) or (h, c) (LSTM), each (layers x directions, batch, units)
        # -> (states x layers x directions, batch, units)
        final = torch.cat(final if isinstance(final, tuple) else (final,))
        # -> (batch, states x layers x directions, units)
        # -> (batch, states x layers x directions x units) -> (batch, code size)
        code = torch.tanh(self.code(final.transpose(0, 1).flatten(1)))
        if not self.attention:
            return code, None
        if _differ(lengths):
            out, _ = pad_packed_sequence(out, batch_first=True)
        return code, (out, _inside(lengths, x))

    def decode(self, x, lengths, code, memory, decoder_input=None):
        """Estimate of the target, (batch, time, frequency) as ``x``."""
        target = self.target(x, lengths)
        # (batch, code size) -> (batch, direction, h or c, layer, unit)
        # -> (direction, h or c, layer, batch, unit), as torch takes initial states
        states = code.unflatten(1, self.state_shape).permute(1, 2, 3, 0, 4).contiguous()
        estimates = []
        for i, decoder in enumerate(self.decoders):
            # The second decoder runs in the other direction of time.
            frames = _flip(target, lengths) if i else target
            out = decoder(frames, states[i], memory, decoder_input or self.decoder_input)
            estimates.append(_flip(out, lengths) if i else out)
        # The mean of two linear projections is one linear projection of both outputs.
        return sum(estimates) / len(estimates)

    def target(self, x, lengths):
        """Target of the decoder: the input, reversed in time if so set."""
        return _flip(x, lengths) if self.reverse_target else x

    def loss(self, x, lengths, code, memory):
        """Root mean squared error over all frames without padding."""
        out = self.decode(x, lengths, code, memory)
        squared = (out.float() - self.target(x, lengths)) ** 2
        if not _differ(lengths):
            return squared.mean().sqrt()
        total = (squared * _inside(lengths, x)[..., None]).sum()
        return (total / (lengths.sum() * x.shape[2])).sqrt()


class Decoder(nn.Module):
    """A stack of recurrent layers in one direction, and its half of the projection."""

    def __init__(self, stack, *, memory_width, dropout_in, dropout_out, tanh):
        super().__init__()
        self.stack, self.dropout_in, self.dropout_out = stack, dropout_in, dropout_out
        self.tanh = tanh
        self.query = nn.Linear(stack.hidden_size, memory_width) if memory_width else None
        self.project = nn.Linear(stack.hidden_size + memory_width, stack.input_size)

    def forward(self, target, state, memory, decoder_input):
        """Estimate of ``target`` from the state and, depending on ``decoder_input``, its past."""
        state = tuple(state) if isinstance(self.stack, nn.LSTM) else state[0]
        if decoder_input == "previous":  # step by step: (batch, 1, frequency)
            frame, frames = torch.zeros_like(target[:, :1]), []
            for _ in range(target.shape[1]):
                frame, state = self._run(frame, state, memory)
                frames.append(frame)
            return torch.cat(frames, 1)
        if decoder_input == "none":
            x = torch.zeros_like(target)
        else:
            # The target one step later, zeros first: a step sees the frame before its own.
            x = torch.cat([torch.zeros_like(target[:, :1]), target[:, :-1]], 1)
        return self._run(x, state, memory)[0]

    def _run(self, x, state, memory):
        # (batch, time, frequency) -> (batch, time, units)
        out, state = self.stack(dropout(x, self.dropout_in, self.training), state)
        out = dropout(out, self.dropout_out, self.training)
        if self.query is not None:
            encoded, inside = memory
            # (batch, time, width) x (batch, width, encoder time) -> (batch, time, encoder time)
            scores = self.query(out) @ encoded.transpose(1, 2) / encoded.shape[2] ** 0.5
            scores = scores.masked_fill(~inside[:, None], -torch.inf)
            out = torch.cat([out, scores.softmax(-1) @ encoded], -1)  # (batch, time, units + width)
        out = self.project(out)  # (batch, time, frequency)
        return out.tanh() if self.tanh else out, state


def buckets(lengths, batch_size, generator):
    """Batches (lists of indices) of clips of similar length, in random order.

    Clips are sorted by length after a random change of up to a tenth, so that batches differ
    between epochs. Clips of equal length are drawn at random.
    """
    blurred = lengths * (0.9 + 0.2 * torch.rand(len(lengths), generator=generator))
    batches = blurred.argsort().split(batch_size)
    if not _differ(lengths):
        batches = torch.randperm(len(lengths), generator=generator).split(batch_size)
    return [batches[i].tolist() for i in torch.randperm(len(batches), generator=generator)]


def pad(clips, device):
    """Clips as one batch with zeros after the shorter ones, and their lengths."""
    x = pad_sequence([torch.tensor(clip) for clip in clips], batch_first=True)
    return x.to(device), torch.tensor([len(clip) for clip in clips])


def _differ(lengths):
    return bool((lengths != lengths[0]).any())


def _inside(lengths, x):
    """True for frames of a clip, false for padding: shape (batch, time)."""
    return torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]


def _flip(x, lengths):
    """Each clip reversed in time; padding stays at the end."""
    if not _differ(lengths):
        return x.flip(1)
    lengths = lengths.to(x.device)[:, None]
    time = torch.arange(x.shape[1], device=x.device)
    index = torch.where(time < lengths, lengths - 1 - time, time)
    return x[torch.arange(len(x), device=x.device)[:, None], index]
