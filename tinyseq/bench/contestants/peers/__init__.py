"""The libraries that tinyseq is measured against, each imported only when asked for and only if installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from tinyseq.bench.contestants.reservoirs import Echo
from tinyseq.bench.problems.fresh import Fresh
from tinyseq.bench.problems.nets import Net
from tinyseq.bench.problems.problems import Problem
from tinyseq.bench.problems.training import Training
from tinyseq.bench.variant import Variant

PEERS = ("torch", "jax", "autograd", "mygrad", "numpy", "reservoirpy")
TRAINERS = ("torch", "jax")
NET_PEERS = ("torch", "jax")
ECHO_PEERS = ("reservoirpy",)
FRESH_PEERS = ("torch", "jax")


def installed() -> list[str]:
    """The peers that can be imported here."""
    return [peer for peer in PEERS if find_spec(peer) is not None]


def variants(problem: Problem, peers: Sequence[str] | None = None, torch_compile: bool = False) -> dict[str, Variant]:
    """Every variant of every installed peer (or of those named) for the problem, as "peer variant".

    `torch_compile` adds torch.compile, which takes up to a minute per row at its first call.
    """
    found: dict[str, Variant] = {}
    for peer in installed() if peers is None else peers:
        if peer in ECHO_PEERS:
            continue
        module = import_module(f"tinyseq.bench.contestants.peers.{peer}_peer")
        ways = module.variants(problem)
        if torch_compile and peer == "torch":
            ways |= module.compiled(problem)
        found |= {f"{peer} {name}": variant for name, variant in ways.items()}
    return found


def net_variants(net: Net, peers: Sequence[str] | None = None) -> dict[str, Variant]:
    """The same for a whole net, given its first weights by their names."""
    found: dict[str, Variant] = {}
    weights = net.model().state_dict()
    for peer in installed() if peers is None else peers:
        if peer in NET_PEERS:
            module = import_module(f"tinyseq.bench.contestants.peers.{peer}_nets")
            found |= {f"{peer} {name}": variant for name, variant in module.variants(net, weights).items()}
    return found


def fresh_variants(fresh: Fresh, peers: Sequence[str] | None = None) -> dict[str, Variant]:
    """The same for a row in which every batch is new."""
    found: dict[str, Variant] = {}
    for peer in installed() if peers is None else peers:
        if peer in FRESH_PEERS:
            module = import_module(f"tinyseq.bench.contestants.peers.{peer}_fresh")
            found |= {f"{peer} {name}": variant for name, variant in module.variants(fresh).items()}
    return found


def trainers(training: Training, peers: Sequence[str] | None = None) -> dict[str, Variant]:
    """The same for training end to end: `run` is one step, the check returns the parameters after a few."""
    found: dict[str, Variant] = {}
    for peer in installed() if peers is None else peers:
        if peer in TRAINERS:
            module = import_module(f"tinyseq.bench.contestants.peers.{peer}_trainer")
            found |= {f"{peer} {name}": variant for name, variant in module.trainers(training).items()}
    return found


def echo_variants(echo: Echo, peers: Sequence[str] | None = None) -> dict[str, Variant]:
    """The same for an echo state network: `run` makes its states, and fits the readout where the row says so."""
    found: dict[str, Variant] = {}
    for peer in installed() if peers is None else peers:
        if peer in ECHO_PEERS:
            module = import_module(f"tinyseq.bench.contestants.peers.{peer}_esn")
            found |= {f"{peer} {name}": variant for name, variant in module.variants(echo).items()}
    return found
