"""JSON without the words NaN and Infinity: what is written, what is read back, and that no writer goes round it."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.results.store import append, kept, write_experiment
from tinyseq.strict_json import dumps, dumps_exact, loads_exact, number
from tinyseq.train import load, save
from tinyseq.train.history import History
from tinyseq.train.sweeps import sweep
from tinyseq.viz.output.json_text import json_text

ROOT = Path(__file__).parent.parent


def strict(text: str) -> Any:
    """What a reader that keeps to the standard makes of a text."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_are_null_wherever_they_stand() -> None:
    thing = {"a": [1.5, math.nan, (math.inf, {"b": -math.inf})], "c": "NaN", "d": None, "e": True}
    assert strict(dumps(thing)) == {"a": [1.5, None, [None, {"b": None}]], "c": "NaN", "d": None, "e": True}
    assert strict(dumps(np.float64("nan"))) is None and dumps({"ä": 1}, ensure_ascii=False) == '{"ä": 1}'
    assert math.isnan(number(None)) and number(2) == 2.0
    with pytest.raises(ValueError, match="could not convert"):
        number("much")


def test_exact_text_is_read_back_as_it_was() -> None:
    thing = {"a": [math.inf, -math.inf, 0.1], "b": {"c": math.nan}, "d": "Infinity"}
    strict(dumps_exact(thing))
    back = loads_exact(dumps_exact(thing))
    assert math.isnan(back["b"].pop("c")) and back == {**thing, "b": {}}
    assert loads_exact('{"a": -Infinity}') == {"a": -math.inf}  # as older files have it


def writers() -> list[str]:
    """Calls of json.dump and json.dumps that may write NaN."""
    found = []
    for top in ("tinyseq", "viz", "examples"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                named = isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dump", "json.dumps")
                if named and not any(k.arg == "allow_nan" and ast.unparse(k.value) == "False" for k in node.keywords):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_nobody_writes_json_that_may_hold_nan() -> None:
    assert writers() == []


@pytest.mark.parametrize("top", ["examples", "tinyseq", "tests"])
def test_files_of_json_in_the_repository_keep_to_the_standard(top: str) -> None:
    for path in sorted((ROOT / top).rglob("*.json")):
        strict(path.read_text("utf-8"))
    for path in sorted((ROOT / top).rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            strict(line)


def diverging(seed: int, limit: float) -> dict[str, float]:
    return {"loss": math.nan if seed else 0.5, "steps": limit}


def test_a_sweep_keeps_a_loss_that_is_nan_and_a_grid_with_infinity(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path, grid = tmp_path / "sweep.jsonl", {"limit": [1.0, math.inf, -math.inf]}
    with ThreadPoolExecutor(1) as pool:
        first = sweep(diverging, grid, 2, executor=pool, results=path, told=None)
    rows = [strict(line) for line in path.read_text().splitlines()]
    assert {(row["limit"], row["seed"]): (row["loss"], row["steps"]) for row in rows} == {
        (1.0, 0): (0.5, 1.0), (1.0, 1): (None, 1.0), ("inf", 0): (0.5, None), ("inf", 1): (None, None),
        ("-inf", 0): (0.5, None), ("-inf", 1): (None, None),
    }  # fmt: skip

    def never(**cell: Any) -> float:
        raise AssertionError(f"{cell} was run again")

    with ThreadPoolExecutor(1) as pool:
        again = sweep(never, grid, 2, executor=pool, results=path, told=None)
    assert not again.failed and [(r["limit"], r["seed"]) for r in again.rows] == [
        (r["limit"], r["seed"]) for r in first.rows
    ]
    for found in (first, again):
        values = found.values("loss", "limit")
        assert list(values) == [1.0, math.inf, -math.inf]
        for losses in values.values():
            np.testing.assert_array_equal(losses, [0.5, np.nan])


def test_metrics_with_a_validation_that_is_nan_are_read_back() -> None:
    history = History()
    history.add(math.inf, math.nan, 0.1)
    history.validation.append({"step": 1, "loss": math.nan, "accuracy": 0.5})
    (line,) = history.lines()
    row = strict(line)
    assert row == {"step": 1, "loss": None, "norm": None, "rate": 0.1, "validation": {"loss": None, "accuracy": 0.5}}
    back = History()
    back.read([row])
    arrays = back.arrays()
    assert math.isnan(arrays["loss"][0]) and arrays["validation_loss"].dtype == float
    assert math.isnan(arrays["validation_loss"][0]) and arrays["validation_accuracy"][0] == 0.5


def test_a_checkpoints_header_keeps_to_the_standard_and_is_read_back_exactly(tmp_path: Path) -> None:
    from safetensors import safe_open

    model = ts.nn.SequenceModel(3, 4, rng=np.random.default_rng(0))
    file = save(tmp_path, model, info={"best": math.inf, "losses": [math.nan, 1.0]})
    with safe_open(file, "np") as opened:
        strict(opened.metadata()["tinyseq"])
    info = load(tmp_path).info
    assert info["best"] == math.inf and math.isnan(info["losses"][0]) and info["losses"][1] == 1.0


def test_results_that_are_not_finite_count_as_none(tmp_path: Path) -> None:
    row = {"experiment": "made-up", "seed": 0, "results": {"error": math.nan}, "curves": {"loss": [[1, math.inf]]}}
    append(tmp_path, row)
    strict((tmp_path / "results.jsonl").read_text())
    strict(write_experiment(tmp_path, "made-up", [row]).read_text("utf-8"))
    (back,) = kept(tmp_path)
    assert back["results"] == {"error": None} and back["curves"] == {"loss": [[1, None]]}


def test_a_pictures_json_has_null_for_a_gradient_that_is_nan() -> None:
    assert strict(json_text({"nodes": [{"id": 0, "gradient": math.nan}]})) == {"nodes": [{"id": 0, "gradient": None}]}
