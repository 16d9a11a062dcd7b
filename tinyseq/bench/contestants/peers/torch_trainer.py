"""PyTorch: training the character LSTM, nn.LSTM with its own clipping and fused Adam."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tinyseq.bench.contestants.peers.torch_peer import leaves, load, read
from tinyseq.bench.problems.training import ADAM_EPSILON, BETA1, BETA2, CHECKED_STEPS, Training
from tinyseq.bench.variant import Gradients, Variant


class _Trainer:
    def __init__(self, training: Training) -> None:
        self.training = training
        params = training.params()
        self.net = nn.LSTM(training.embedding, training.hidden)
        load(self.net, "_l0", "lstm", params)
        # the equations have one bias; torch's second would be trained too
        self.net.bias_hh_l0.requires_grad_(False)
        self.out = leaves({name: params[name] for name in ("E", "V", "c")})
        self.trained = [p for p in (*self.net.parameters(), *self.out.values()) if p.requires_grad]
        self.adam = torch.optim.Adam(self.trained, lr=training.rate, betas=(BETA1, BETA2), eps=ADAM_EPSILON, fused=True)
        self.batches = cycle([torch.tensor(batch) for batch in training.tokens()[0]])

    def step(self) -> torch.Tensor:
        tokens = next(self.batches)
        self.adam.zero_grad()
        hs = self.net(F.embedding(tokens[:-1], self.out["E"]))[0]
        logits = torch.addmm(self.out["c"], hs.flatten(0, 1), self.out["V"])
        loss = F.cross_entropy(logits, tokens[1:].reshape(-1), reduction="sum") / self.training.batch
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained, self.training.clip)
        self.adam.step()
        return loss.detach()


def trainers(training: Training) -> dict[str, Variant]:
    """`run` trains on; calling the variant trains afresh for a few steps: (last loss, parameters)."""

    def value(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().numpy().copy()

    def check() -> Gradients:
        fresh = _Trainer(training)
        losses = [float(fresh.step()) for _ in range(CHECKED_STEPS)]
        found = {name: value(tensor) for name, tensor in fresh.out.items()}
        return losses[-1], found | read(fresh.net, "_l0", "lstm", value)

    running = _Trainer(training)
    return {f"nn, {threads} thr": Variant(running.step, check, threads) for threads in (1, 2)}
