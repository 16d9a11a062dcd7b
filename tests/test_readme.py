"""The Python blocks of the README run as they stand, one after the other, each file in a folder of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinyseq.ops import OPS, Kernel

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_readmes_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not README.exists():
        pytest.skip("there is no README.md yet")
    text = README.read_text(encoding="utf-8")
    blocks = [(text[: match.start()].count("\n") + 2, match[1]) for match in BLOCK.finditer(text)]
    assert blocks, "the README shows no Python"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    known = set(OPS), set(Kernel.registry)
    scope: dict[str, object] = {"__name__": "__main__"}
    for line, block in blocks:
        code = compile("\n" * (line - 1) + block, str(README), "exec")  # so that a traceback names the README's line
        exec(code, scope)
    for table, names in zip((OPS, Kernel.registry), known, strict=True):
        for name in set(table) - names:
            del table[name]
