"""Every reader of files, given anything: data, or an error of tinyseq's that names the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyseq import data
from tinyseq.cli.config import read_config
from tinyseq.cli.train import KEYS
from tinyseq.errors import TinyseqError
from tinyseq.train import load
from tinyseq.train.run_folder import last_good

CELLS = st.one_of(
    st.sampled_from(
        ["", "NA", "nan", "1", "2.5", "-1e400", "x", '"', "2024-01-01", "a;b", "\ufeff", "0x1", "∞", "1_0"]
    ),
    st.text(max_size=6),
)
TABLES = st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=8).map("\n".join)
BRACKETS = st.text(alphabet="()[] ab-=NONE#\n\\x20", max_size=60)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=3),
    max_leaves=12,
)
LINES = st.lists(JSON.map(lambda thing: json.dumps(thing)), max_size=4).map("\n".join)
CONLLU = st.lists(
    st.lists(st.sampled_from(["1", "2", "3-4", "0", "_", "word", "NOUN", "", "5.1"]), max_size=11).map("\t".join),
    max_size=6,
).map("\n".join)
TOML = st.lists(
    st.tuples(st.sampled_from(["hidden", "rate", "hiden", "task", "[a]", "sort", "features"]), CELLS).map(" = ".join),
    max_size=4,
).map("\n".join)

READERS: dict[str, tuple[Any, Callable[[Path], Any]]] = {
    "csv": (TABLES, data.csv),
    "csv with groups": (TABLES, lambda p: data.csv(p, group="1", missing="hold")),
    "csv with times": (TABLES, lambda p: data.csv(p, time="x", missing="mask", sort=True)),
    "trees": (BRACKETS, data.treebank),
    "roots of trees": (BRACKETS, lambda p: data.treebank(p, labels="root", binary="left", collapse=False, empty=True)),
    "JSON lines": (LINES, data.json_lines),
    "CoNLL-U": (CONLLU, data.conllu),
    "dependencies": (CONLLU, lambda p: data.conllu(p, what="trees", label="deprel")),
    "Python": (st.text(alphabet="def f():\n return1\t+x", max_size=40), data.python),
    "TOML": (TOML, lambda p: read_config(p, KEYS)),
    "a checkpoint": (st.text(max_size=40), load),
    "a run": (st.text(max_size=40), last_good),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choice=st.data())
def test_anything_is_data_or_an_error_that_names_the_file(name: str, choice: Any) -> None:
    strategy, reader = READERS[name]
    content = choice.draw(st.one_of(strategy.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=50)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.txt"
        path.write_bytes(content)
        try:
            reader(path)
        except TinyseqError as error:
            assert "given.txt" in str(error), error
