"""What needs a process of its own: seconds from import to the first gradient, and peak memory of one pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyseq.bench.peers import variants
from tinyseq.bench.problems import problem
from tinyseq.bench.timing import fair_environment
from tinyseq.errors import DataError

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
print(time.perf_counter() - start)
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
    "torch nn": _TORCH
    + """
net = torch.nn.RNN(32, 64)
out = torch.nn.Linear(64, 32)
logits = out(net(torch.from_numpy(x))[0]).flatten(0, 1)
torch.nn.functional.cross_entropy(logits, torch.from_numpy(y), reduction="sum").backward()
net.weight_hh_l0.grad.numpy()
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
p["W"].grad.numpy()
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
np.asarray(jax.jit(jax.value_and_grad(total))(params)[1]["W"])
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
grad(total)(params)["W"]
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
p["W"].grad
""",
}


def _run(arguments: Sequence[str]) -> str:
    """What a fresh interpreter prints last."""
    done = subprocess.run(
        [sys.executable, *arguments], env=fair_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DataError(f"the measured process failed with:\n{done.stderr.strip()[-2000:]}")
    return done.stdout.split()[-1]


def startup_seconds(script: str, trials: int = 3) -> float:
    """Best of `trials` new processes that run `script` between the common beginning and end."""
    return min(float(_run(["-c", _BEGIN + script + _END])) for _ in range(trials))


def memory_bytes(row: str, variant: str) -> int:
    """Bytes by which one forward and backward pass of "peer variant" raises the peak of a new process."""
    return int(_run(["-m", "tinyseq.bench.processes", row, variant]))


def _peak_and_now() -> tuple[int, int]:
    """Peak and present resident bytes. Where the kernel allows it the peak is first reset to the present, so that
    what an import once needed does not hide what the pass needs."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return peak, peak
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024, int(fields["VmRSS"].split()[0]) * 1024


def _reset_peak() -> None:
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def measure_memory(row: str, name: str) -> int:
    """In this process: warm the variant up on a short copy of the row, then the rise of the peak in bytes."""
    full = problem(row)
    peer = name.split()[0]
    variants(replace(full, steps=16), [peer])[name].run()
    run = variants(full, [peer])[name].run
    _reset_peak()
    before = _peak_and_now()[1]
    run()
    return _peak_and_now()[0] - before


if __name__ == "__main__":
    print(measure_memory(sys.argv[1], sys.argv[2]))
