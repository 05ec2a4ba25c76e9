"""Batches of a network: items of several rows go through it together, several batches at a time."""

from collections import deque

import numpy as np

#: Batches per call of a network that does not run several side by side itself.
PASSES = 4


def run_network(network, items):
    """Features of items from a network: one matrix of one row for each.

    Examples
    --------
    >>> from thesislib.representations.statistics import LogMelStatistics
    >>> [part.shape for part in run_network(LogMelStatistics(2), [np.ones((2, 3))] * 4)]
    [(1, 4), (1, 4), (1, 4), (1, 4)]
    """
    alike = len({np.shape(item) for item in items}) == 1
    outputs = np.asarray(network.transform(np.stack(items) if alike else items))
    return [np.asarray(output, dtype=np.float32)[None] for output in outputs]


class Passes:
    """Items of several rows, gathered into batches of a network, which run side by side.

    Parameters
    ----------
    network : estimator
        With a ``batch_size``; with ``open_passes`` and ``n_passes`` it runs several batches at
        the same time.
    """

    def __init__(self, network):
        self.network, self.size = network, network.batch_size
        self.executor, self.most = None, 0
        if hasattr(network, "open_passes"):
            # As many wait as run, so that none waits for the main thread.
            self.executor, self.most = network.open_passes(), 2 * network.n_passes
        else:
            self.size *= PASSES
        self.items, self.owners = [], []
        self.rows, self.pending = {}, deque()

    def add(self, row, items, *others):
        """Take the items of a row; start every batch that is full."""
        self.rows[row] = ([], len(items), others)
        self.items += items
        self.owners += [row] * len(items)
        while len(self.items) >= self.size:
            self._start()

    def _start(self):
        items, self.items = self.items[: self.size], self.items[self.size :]
        owners, self.owners = self.owners[: self.size], self.owners[self.size :]
        run = run_network if self.executor is None else self._submit
        self.pending.append((owners, run(self.network, items)))

    def _submit(self, network, items):
        return self.executor.submit(run_network, network, items)

    def take(self, *, rest=False):
        """Yield ``(row, features of its items, *others)`` of rows that are complete.

        Waits if too many batches are pending, or, with ``rest``, until all are complete.
        """
        if rest and self.items:
            self._start()
        while self.pending:
            owners, outputs = self.pending[0]
            if self.executor is not None:
                if not (rest or outputs.done() or len(self.pending) > self.most):
                    return
                outputs = outputs.result()
            self.pending.popleft()
            for row, output in zip(owners, outputs):
                parts, n_items, others = self.rows[row]
                parts.append(output)
                if len(parts) == n_items:
                    del self.rows[row]
                    yield row, parts, *others

    def close(self):
        """Cancel the batches that have not started."""
        if self.executor is not None:
            self.executor.shutdown(cancel_futures=True)
