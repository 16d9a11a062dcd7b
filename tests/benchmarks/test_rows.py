"""Every row of `tinyseq bench` under pytest-benchmark: `pytest -m slow tests/benchmarks/test_rows.py`.

For following tinyseq from commit to commit (`--benchmark-autosave`, `--benchmark-compare`); the comparison with the
peers is `tinyseq bench`. No time is asserted.
"""

import pytest

from tinyseq.bench.contestants import our_trainer, ours
from tinyseq.bench.measuring.agree import BOUND, TRAINED_BOUND, deviation, trained_deviation
from tinyseq.bench.problems.problems import ROWS
from tinyseq.bench.problems.training import TRAINING

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.row)
def test_forward_and_backward(benchmark, row):
    (way,) = ours.variants(row).values()
    assert deviation(way(), ours.reference(row)) < BOUND
    benchmark.extra_info["fallback"] = way.prepare().fallback
    benchmark(way.run)


def test_training_step(benchmark):
    (way,) = our_trainer.trainers(TRAINING).values()
    assert trained_deviation(way(), our_trainer.reference(TRAINING), TRAINING.params()) < TRAINED_BOUND
    benchmark.extra_info["tokens"] = TRAINING.tokens_per_step
    benchmark(way.run)
