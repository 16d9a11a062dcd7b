"""The script of section 10.6 in a short form: what it prints is what it says it shows."""

import importlib.util
import math
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "recursive_net.py"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("recursive_net", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_shows_depths_and_ratios(script, capsys):
    script.paths()
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +(\S+), (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) == 6
    for leaves, log, depth, chain, tree_ratio, chain_ratio in rows:
        assert int(log) == int(depth) == math.ceil(math.log2(int(leaves)))
        assert int(chain) == int(leaves) - 1
        assert 0 < float(chain_ratio) < float(tree_ratio) < 1


def test_parity_is_learned_and_holds_on_other_trees(script, capsys):
    script.parity(120)
    printed = capsys.readouterr().out
    shares = [float(share) for share in re.findall(r"([\d.]+)% of 500", printed)]
    assert len(shares) == 4
    assert min(shares[:3]) >= 99.0


def test_listops_runs(script, capsys):
    script.small_listops(2, tests=40)
    assert re.search(r"% of 40 expressions right", capsys.readouterr().out)
