"""Data parallel under mpiexec: equal to one process on the joint batch; ranks that fail or die."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq import nn, train
from tinyseq.errors import TinyseqError
from tinyseq.nn.packing import pack
from tinyseq.train.ranks import ALONE, MpiRanks, Ranks, share_of_masks

ROOT = Path(ts.__file__).parent.parent
HERE = Path(__file__).parent / "mpi_runs.py"
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
by_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or MPIEXEC is None, reason="mpi4py or mpiexec is not installed"
)
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(ROOT), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "TINYSEQ_CHECK": "0",
}  # fmt: skip


def started(ranks: int, *words: Any, cwd: Path) -> subprocess.Popen:
    command = [str(MPIEXEC), "-n", str(ranks), sys.executable, *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, text=True, **pipes)


def ended(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


@by_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_equal_to_one_process_on_the_joint_batch(ranks: int, tmp_path: Path) -> None:
    """Texts with carried states, packed and padded sequences, gaps, trees, dropout of every kind; clipping too."""
    kinds = ["text", "ragged", "each step", "one length", "trees", "class weights"] if ranks == 2 else ["each step"]
    code, out, err = ended(started(ranks, HERE, "compare", tmp_path, *kinds, cwd=tmp_path))
    assert code == 0, err
    worst = json.loads(out.splitlines()[-1])
    assert worst.pop("ranks") == ranks and len(worst) == 2 * len(kinds)
    for what, difference in worst.items():
        assert difference < (1e-6 if "float32" in what else 1e-13), worst
    for kind in kinds:  # rank 0 wrote the whole of it, the state of all streams too
        joint, alone = (train.load(tmp_path / f"{kind}-float64-{who}") for who in ("joint", "alone"))
        assert joint.optimiser_state is not None and alone.optimiser_state is not None
        for name, array in alone.optimiser_state.items():
            np.testing.assert_allclose(joint.optimiser_state[name], array, atol=1e-12, err_msg=name)
        rows = (tmp_path / f"{kind}-float64-joint" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(row)["step"] for row in rows] == list(range(1, 8))


@by_mpi
def test_a_rank_that_fails_ends_all_and_keeps_what_was_saved(tmp_path: Path) -> None:
    code, _, err = ended(started(2, HERE, "error", tmp_path / "run", cwd=tmp_path))
    assert code != 0 and "error on rank 1 of 2: of rank 1 alone" in err
    assert train.load(tmp_path / "run").info["fit"]["step"] >= 1


@by_mpi
def test_all_ranks_diverge_together(tmp_path: Path) -> None:
    code, out, err = ended(started(2, HERE, "diverge", tmp_path / "run", cwd=tmp_path))
    assert code == 0, err
    assert sorted(re.findall(r"rank (\d): training stopped at step 1 of 5: the loss is nan", out)) == ["0", "1"]
    assert np.isfinite(next(iter(train.load(tmp_path / "run").model.state_dict().values()))).all()


def words_of(text: str, out: str, steps: int) -> list[Any]:
    options = ["--model", "gru", "--hidden", 8, "--batch", 6, "--window", 5, "--seed", 3]
    return ["-m", "tinyseq", "train", text, *options, "--steps", steps, "-o", out]


@by_mpi
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds ranks in /proc")
def test_a_rank_killed_ends_the_run_and_it_is_gone_on_with(tmp_path: Path) -> None:
    """kill -9 of the rank that does not write: the run ends, and --resume comes to the weights of a whole one."""
    (tmp_path / "t.txt").write_text("the cat sat on the mat; the dog ate the hat.\n" * 40)
    code, out, err = ended(started(2, *words_of("t.txt", "whole", 120), "--mpi", cwd=tmp_path))
    assert code == 0 and "held out" in out and out.count("characters to train on") == 1, err
    process = started(2, *words_of("t.txt", "cut", 120), "--mpi", cwd=tmp_path)
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while process.poll() is None and (not metrics.exists() or len(metrics.read_text().splitlines()) < 15):
        time.sleep(0.01)
    victims = ranks_of(process.pid)
    assert process.poll() is None and len(victims) == 2
    os.kill(victims[1], signal.SIGKILL)
    code, _, _ = ended(process, 60)
    assert code != 0
    assert 15 <= train.load(tmp_path / "cut").info["fit"]["step"] < 120
    resume = ["-m", "tinyseq", "train", "--resume", "cut", "--mpi"]
    code, _, err = ended(started(2, *resume, cwd=tmp_path))
    assert code == 0, err
    whole, cut = (train.load(tmp_path / name) for name in ("whole", "cut"))
    assert cut.info["fit"]["step"] == whole.info["fit"]["step"] == 120
    for name, array in whole.model.state_dict().items():
        assert np.array_equal(cut.model.state_dict()[name], array), name
    alone = subprocess.run(
        [sys.executable, *map(str, words_of("t.txt", "alone", 120))], cwd=tmp_path, env=ENVIRONMENT, capture_output=True
    )
    assert alone.returncode == 0, alone.stderr
    for name, array in train.load(tmp_path / "alone").model.state_dict().items():
        np.testing.assert_allclose(whole.model.state_dict()[name], array, atol=2e-4)


def ranks_of(parent: int) -> list[int]:
    """The Python processes below one, by their numbers."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [parent]
    while waiting:
        below = children.get(waiting.pop(), [])
        waiting += below
        found += [pid for pid in below if b"tinyseq" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    return sorted(found)


@by_mpi
def test_errors_of_the_command_line_end_all_ranks(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("the cat sat on the mat.\n" * 40)
    code, _, err = ended(started(2, "-m", "tinyseq", "train", "none.txt", "--mpi", cwd=tmp_path), 60)
    assert code != 0 and "of 2: " in err and "none.txt" in err
    words = ["-m", "tinyseq", "train", "t.txt", "--batch", 1, "--window", 5, "--steps", 3, "--mpi"]
    code, _, err = ended(started(2, *words, cwd=tmp_path), 60)
    assert code != 0 and "2 ranks share a batch of 1 streams" in err


def test_without_mpi4py_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(TinyseqError, match=r"pip install 'tinyseq\[mpi\]'"):
        train.mpi()


def test_one_process_by_itself() -> None:
    assert ALONE.first and ALONE.told(lambda: 3) == 3 and ALONE.gathered((1, 2)) == (1, 2)
    assert ALONE.own(3).tolist() == [0, 1, 2] and ALONE.joined([], 1.5) == 1.5
    with pytest.raises(ZeroDivisionError):
        ALONE.abort(ZeroDivisionError())
    assert isinstance(ALONE, Ranks) and not isinstance(ALONE, MpiRanks)


def test_masks_are_cut_as_the_sequences_are(rng: np.random.Generator) -> None:
    """Of each kind of mask, the numbers that stand beside a sequence's steps are the same in its share."""
    x = [rng.normal(size=(n, 2)) for n in (3, 1, 4, 2, 4)]
    rows = np.array([4, 0, 3])
    packed, part = pack(x), pack([x[i] for i in rows])
    by_row, by_step = rng.normal(size=(5, 2)), packed.rows * 1.0
    (held, free) = share_of_masks([by_row, by_step], packed, rows)
    assert np.array_equal(held, by_row[rows]) and np.array_equal(free, part.rows)
    even = rng.normal(size=(6, 5, 2))
    (held, free) = share_of_masks([by_row, even], even, rows)
    assert np.array_equal(held, by_row[rows]) and np.array_equal(free, even[:, rows])
    assert share_of_masks(None, even, rows) is None


def test_a_step_alone_is_as_it_was(rng: np.random.Generator) -> None:
    net = nn.RNN(3, 4, 3, rng=rng)
    x = rng.integers(0, 3, (4, 2))
    step = train.TrainingStep(net.loss, train.SGD(net.parameters(), 0.1))
    assert float(step(x, x)) == step.value > 0
