"""Seconds from import to the first gradient in a new process, for each library: what a learner waits for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tinyseq.bench.measuring.processes import run

STARTUP_ROW = "startup rnn 32,64,100,1"

# The tanh RNN 32,64,100,1, self-contained: a script that imported this package would charge its imports to a peer.
_BEGIN = """
import time
start = time.perf_counter()
import numpy as np
rng = np.random.default_rng(0)
x = rng.standard_normal((100, 1, 32), dtype=np.float32)
y = rng.integers(0, 32, 100)
shapes = {"U": (32, 64), "W": (64, 64), "b": (64,), "V": (64, 32), "c": (32,)}
params = {k: rng.uniform(-0.125, 0.125, s).astype(np.float32) for k, s in shapes.items()}
"""
_END = """
seconds = time.perf_counter() - start
import sys
np.save(sys.argv[1], gradient)
print(seconds)
"""
_LOOP = """
h = zeros
loss = 0
for t in range(100):
    h = tanh(xs[t] @ p["U"] + h @ p["W"] + p["b"])
    loss = loss + cross_entropy(h @ p["V"] + p["c"], t)
"""
_TORCH = """
import torch
"""

STARTUP: dict[str, str] = {
    "tinyseq compiled": """
import tinyseq as ts
p = {k: ts.Parameter(v, k) for k, v in params.items()}
def step(x, y, h):
    h = ts.tanh(x @ p["U"] + h @ p["W"] + p["b"])
    return h, ts.cross_entropy(h @ p["V"] + p["c"], y, reduction="sum")
def total(x, y):
    return ts.sum(ts.unfold(step, ts.Chain(100), (x, y), ts.zeros((1, 64))).outputs)
ts.compile(total).backward(x, y[:, None])
gradient = p["W"].grad
""",
    "torch nn": _TORCH
    + """
net = torch.nn.RNN(32, 64)
out = torch.nn.Linear(64, 32)
with torch.no_grad():
    net.weight_ih_l0.copy_(torch.from_numpy(params["U"].T))
    net.weight_hh_l0.copy_(torch.from_numpy(params["W"].T))
    net.bias_ih_l0.copy_(torch.from_numpy(params["b"]))
    net.bias_hh_l0.zero_()
    out.weight.copy_(torch.from_numpy(params["V"].T))
    out.bias.copy_(torch.from_numpy(params["c"]))
logits = out(net(torch.from_numpy(x))[0]).flatten(0, 1)
torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum").backward()
gradient = net.weight_hh_l0.grad.numpy().T
""",
    "torch loop": _TORCH
    + """
from torch import tanh
p = {k: torch.tensor(v, requires_grad=True) for k, v in params.items()}
xs, ys, zeros = torch.from_numpy(x), torch.from_numpy(y), torch.zeros(1, 64)
def cross_entropy(o, t):
    return torch.nn.functional.cross_entropy(o, ys[t : t + 1])
"""
    + _LOOP
    + """
loss.backward()
gradient = p["W"].grad.numpy()
""",
    "jax jit scan": """
import jax, jax.numpy as jnp
def total(p):
    def step(h, a):
        h = jnp.tanh(a + h @ p["W"])
        return h, h
    hs = jax.lax.scan(step, jnp.zeros((1, 64)), x @ p["U"] + p["b"])[1][:, 0]
    o = hs @ p["V"] + p["c"]
    return (jax.nn.logsumexp(o, axis=1) - o[jnp.arange(100), y]).sum()
gradient = np.asarray(jax.jit(jax.value_and_grad(total))(params)[1]["W"])
""",
    "autograd loop": """
import autograd.numpy as anp
from autograd import grad
from autograd.numpy import tanh
xs, zeros = x, np.zeros((1, 64), np.float32)
def cross_entropy(o, t):
    return anp.log(anp.sum(anp.exp(o))) - o[0, y[t]]
def total(p):
    h, loss = zeros, 0
    for t in range(100):
        h = tanh(xs[t] @ p["U"] + h @ p["W"] + p["b"])
        loss = loss + cross_entropy(h @ p["V"] + p["c"], t)
    return loss
gradient = grad(total)(params)["W"]
""",
    "mygrad loop": """
import mygrad as mg
from mygrad import tanh
from mygrad.nnet.losses import softmax_crossentropy
p = {k: mg.tensor(v) for k, v in params.items()}
xs, zeros = x, np.zeros((1, 64), np.float32)
def cross_entropy(o, t):
    return softmax_crossentropy(o, y[t : t + 1])
"""
    + _LOOP
    + """
loss.backward()
gradient = p["W"].grad
""",
}


def startup(name: str) -> tuple[float, np.ndarray]:
    """(seconds, dL/dW) of a new process that runs the script of that name."""
    return timed(STARTUP[name])


def timed(script: str) -> tuple[float, np.ndarray]:
    """The same for any script that leaves `gradient` behind, between the common beginning and end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gradient.npy"
        seconds = float(run(["-c", _BEGIN + script + _END, str(path)]))
        return seconds, np.load(path)
