"""Every optional decision of the planner switched off in turn: the numbers stay those of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tests.engine.agreement import compare, names_of, recorded, reference, run_plan
from tests.engine.plan.golden import programs
from tests.engine.strategies import seeded
from tinyseq.engine.environment import WITHOUT
from tinyseq.engine.plan.choices import OPTIONAL
from tinyseq.engine.plan.folded import Refused
from tinyseq.engine.plan.pipeline import plan_tape
from tinyseq.engine.plan_cache import CACHE
from tinyseq.engine.validation.check import verify_plan
from tinyseq.errors import DataError

NETS = [name for name in programs() if name.startswith(("cell", "tree")) or (name.startswith("net") and "T=7" in name)]


def agrees(tape: ts.Tape, wanted: list[int], loss: int, without: frozenset[str], threads: int) -> bool:
    """Whether there is a plan; it is verified, and its numbers are the reference's."""
    try:
        plan = plan_tape(tape, wanted, loss, without=without)
    except Refused:
        return False
    verify_plan(plan)
    single = plan.dtype == np.float32
    found, expected = run_plan(plan, tape, wanted, loss, threads), reference(tape, wanted, loss)
    compare(found, expected, 1e-5 if single else 1e-10, names_of(tape))
    return True


@pytest.mark.parametrize("name", OPTIONAL)
def test_nets_agree_without(name: str) -> None:
    planned = [agrees(*programs()[net](), frozenset({name}), 2) for net in NETS[:: 1 + len(NETS) // 12]]
    assert all(planned)


@pytest.mark.parametrize("name", OPTIONAL)
def test_random_graphs_agree_without(name: str) -> None:
    planned = [agrees(*recorded(seeded(400 + k), np.float64), frozenset({name}), 1 + k % 3) for k in range(8)]
    assert sum(planned) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONAL)
def test_everything_agrees_without(name: str) -> None:
    for net in NETS:
        agrees(*programs()[net](), frozenset({name}), 2)
    for k in range(300):
        agrees(*recorded(seeded(700 + k), np.float64), frozenset({name}), 1 + k % 3)


@pytest.mark.parametrize("name", sorted(OPTIONAL.keys() - {"members"}))
def test_a_decision_that_is_off_changes_some_plan(name: str) -> None:
    def text(net: str, without: frozenset[str]) -> str:
        plan = plan_tape(*programs()[net](), without=without)
        return "\n".join([plan.dump("emit"), plan.dump("reuse")])

    assert any(text(net, frozenset()) != text(net, frozenset({name})) for net in NETS)


def test_the_environment_switches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITHOUT, "hoist, reuse")
    assert plan_tape(*programs()["cell LSTM"]()).graph.without == {"hoist", "reuse"}
    monkeypatch.setenv(WITHOUT, "hoisting")
    with pytest.raises(DataError, match="no optional decision 'hoisting'; there are hoist, defer, share, in place"):
        plan_tape(*programs()["cell LSTM"]())


@pytest.mark.parametrize("check", [False, True])
def test_a_wrong_name_is_the_users_slip_and_no_fault_of_the_planner(
    monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    """It is refused; no plan fails, and nothing runs on the reference executor with a warning."""
    w = ts.Parameter(np.eye(3), "w")
    run = ts.compile(lambda x: ts.sum(ts.tanh(x @ w) ** 2), check=check)
    monkeypatch.setenv(WITHOUT, "hoist;reuse")
    with pytest.raises(DataError, match=r"no optional decision 'hoist;reuse'; there are .*TINYSEQ_WITHOUT=hoist,reuse"):
        run.backward(np.ones((2, 3)))
    monkeypatch.setenv(WITHOUT, "hoist,reuse")
    before = run.backward(np.ones((2, 3)))
    np.testing.assert_allclose(before, 2 * 3 * np.tanh(1.0) ** 2, rtol=1e-12)
    assert run.program(np.ones((2, 3))).plan.graph.without == {"hoist", "reuse"}


def test_a_plan_made_before_is_not_run_where_the_environment_asks_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    W, x = ts.Parameter(np.eye(3) / 2, "W"), np.ones((9, 2, 3))

    def loss(x: object) -> ts.Tensor:
        unfolded = ts.unfold(lambda x_t, h: (ts.tanh(x_t + h @ W),) * 2, ts.Chain(9), x, ts.zeros((2, 3), "float64"))
        return ts.sum(unfolded.outputs)

    def by_tape() -> str:
        with ts.Tape(ts.Compiled):
            value = loss(ts.tensor(x))
            value.backward()
        return CACHE.program(value.tape, [value.index], value.index)[0].plan.explain()

    compiled = ts.compile(loss)
    for run in (by_tape, lambda: compiled.program(x).plan.explain()):
        usual = run()
        monkeypatch.setenv(WITHOUT, "hoist")
        assert "Switched off" in run() and "Switched off" not in usual
        monkeypatch.delenv(WITHOUT)
        assert run() == usual


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_nets_have_a_plan_without_each_decision(name: str) -> None:
    """A decision that is left out makes a plan slower; it does not leave a tape without one."""
    rng = np.random.default_rng(0)
    forest = ts.Forest([ts.Tree.balanced(5), ts.Tree.chain(3)])
    x, y = rng.standard_normal((8, 2, 3)), rng.integers(0, 2, (8, 2))
    nets: list[tuple[Any, tuple[Any, ...]]] = [
        (ts.nn.RecursiveNet(3, 4, 2, rng=rng, dtype=np.float64), (forest, x[:, 0], y[:2, 0])),
        (ts.nn.LSTM(3, 4, 2, rng=rng, dtype=np.float64), (x, y)),
        (ts.nn.RNN(3, 4, 2, rng=rng, dtype=np.float64), (x[:, :1], y[:, :1])),
    ]
    for net, (*given, targets) in nets:
        with ts.Tape() as tape:
            loss = net.loss(*given, targets)
        verify_plan(plan_tape(tape, [loss.index], loss.index, frozenset({name})))
