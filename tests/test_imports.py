"""Who imports whom: the edges of the design, read from the sources; and what ``import tinyseq`` leaves alone."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinyseq"

# A module may import, when it is itself imported, what stands in its row; rows name modules or packages of tinyseq.
BASE = {"errors", "habits", "arrays"}
KERNELS = {"fingerprint", "jitcache", "jit"}
TREES = {"structure", "trees", "brackets", "tree_formats", "tree_order"}
TAPE = BASE | {"tape"}
OPS = TAPE | KERNELS | {"ops"}
TENSOR = OPS | {"operators", "tensor"}
UNFOLD = TENSOR | TREES | {"functions", "folding", "unfold", "unfold_tree", "unfold_truncated"}
NN = UNFOLD | {"nn"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "habits": BASE,
    "arrays": {"errors"},
    "fingerprint": set(),
    "jitcache": {"fingerprint"},
    "forks": set(),
    "limits": BASE,
    "jit": {"jitcache"},
    "tape": TAPE,
    "structure": BASE,
    "trees": BASE | TREES,
    "brackets": BASE | TREES,
    "tree_formats": BASE | TREES,
    "tree_order": BASE | TREES | KERNELS,
    "ops": OPS,
    "engine": OPS | {"engine", "verify", "forks", "limits"},
    "operators": BASE,
    "tensor": OPS | {"operators"},
    "functions": TENSOR | {"functions"},
    "folding": TENSOR | {"functions"},
    "unfold": UNFOLD,
    "unfold_tree": UNFOLD,
    "unfold_truncated": TENSOR | {"structure", "functions", "folding"},
    "verify": OPS,
    "watch": TENSOR,
    "recordings": UNFOLD | {"engine", "forks", "limits", "watch"},
    "compile": UNFOLD | {"engine", "forks", "limits", "recordings"},
    "segments": UNFOLD | {"compile", "recordings"},
    "nn": NN | {"compile"},  # an echo state network replays compiled segments
    "train": NN | {"train", "tasks", "compile", "segments", "diagnose"},
    "diagnose": NN | {"diagnose"},
    "tasks": NN | {"tasks"},
    "bench": NN | {"bench", "compile", "engine", "train", "tasks", ""},
    "cli": NN | {"cli", "train", "diagnose", "tasks", "bench", "verify", ""},
    "__main__": {"cli"},
    "viz": NN | {"diagnose", "train", "tasks", "viz", ""},
    "": NN | {"compile", "limits", "diagnose", "engine", "verify"},
}
# Imports inside a function run later: operators need the functions, notebooks and the command line need pictures.
LATER = {
    "tape": {"viz"},
    "operators": {"functions"},
    "tensor": {"viz"},
    "engine": {"viz"},
    "nn": {"viz"},
    "folding": {"viz"},
    "unfold": {"viz"},
    "compile": {"segments"},
    "unfold_tree": {"viz"},
    "structure": {"viz"},
    "trees": {"viz"},
    "diagnose": {"viz"},
    "train": {"viz"},
    "cli": {"viz"},
    "bench": {"viz"},
}


def sources() -> Iterator[tuple[str, Path]]:
    """(group, file) of every source: the group is the module or package right below tinyseq, "" for the top."""
    for path in sorted(PACKAGE.rglob("*.py")):
        first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield "" if first == "__init__" else first, path
    for path in sorted((ROOT / "viz").rglob("*.py")):
        yield "viz", path


def group(module: str) -> str:
    """The group of an imported module's dotted name."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """(group imported, only when a function runs, line) for every import of tinyseq that is not for types only."""

    def walk(node: ast.AST, later: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                for name in child.names:
                    if name.name.split(".")[0] == "tinyseq":
                        yield group(name.name), later, child.lineno
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: write the full name of the module"
                if child.module == "tinyseq":
                    for name in child.names:
                        known = (PACKAGE / name.name).is_dir() or (PACKAGE / f"{name.name}.py").is_file()
                        yield name.name if known or name.name == "viz" else "", later, child.lineno
                elif (child.module or "").split(".")[0] == "tinyseq":
                    yield group(child.module or ""), later, child.lineno
            yield from walk(child, later or isinstance(child, (ast.FunctionDef, ast.Lambda, ast.AsyncFunctionDef)))

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


def test_every_module_has_its_place_in_the_design() -> None:
    assert {name for name, _ in sources()} <= ALLOWED.keys()


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_imports_run_in_one_direction(name: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports tinyseq.{target}{' inside a function' if later else ''}"
        for own, path in sources()
        if own == name
        for target, later, line in imports(path)
        if target not in ALLOWED[name] | (LATER.get(name, set()) if later else set())
    ]
    assert not wrong, "\n".join(wrong)


def test_the_allowed_edges_have_no_cycle() -> None:
    """Between groups: a row may name itself, and two rows may not name each other."""
    pairs = [
        (a, b)
        for a in ALLOWED
        for b in ALLOWED[a]
        if a < b and a in ALLOWED.get(b, set()) and not {a, b} <= TREES | {"unfold", "unfold_tree"} and "" not in (a, b)
    ]
    assert pairs == []


def run(code: str, folder: Path | None = None) -> str:
    """Run code in a fresh interpreter (in which ``folder`` comes first), return what it prints."""
    environment = dict(os.environ, PYTHONPATH=str(folder or ROOT))
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder or ROOT,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_tinyseq_leaves_heavy_packages_alone() -> None:
    heavy = ["graphviz", "pygraphviz", "matplotlib", "typer", "rich", "torch", "jax", "pandas", "IPython", "pytest"]
    loaded = run(f"""
        import sys
        import tinyseq
        print(*[name for name in {heavy!r} if name in sys.modules])
        print(*[name for name in sys.modules if name.startswith(("tinyseq.viz", "tinyseq.cli", "tinyseq.bench"))])
    """)
    assert loaded.split() == []


def test_importing_tinyseq_compiles_nothing() -> None:
    out = run("""
        import tinyseq
        from tinyseq.ops.op import Kernel
        print(sum(len(k.function.signatures) for k in Kernel.registry.values() if hasattr(k.function, "signatures")))
    """)
    assert out.split() == ["0"]


ENGINE_OF_THE_REFERENCE = {"__init__.py", "reference.py"}
WITHOUT_THE_COMPILED_ENGINE = """
    import numpy as np
    import tinyseq as ts
    assert ts.__file__.startswith({folder!r}), ts.__file__
    assert ts.Tape.default_executor.__name__ == "Reference", ts.Tape.default_executor
    net = ts.nn.RNN(4, 3, 4, rng=np.random.default_rng(0), dtype=np.float64)
    x = np.random.default_rng(1).integers(0, 4, (5, 2))
    with ts.Tape() as tape:
        loss = net.loss(x, x)
    ts.verify(tape)
    loss.backward()
    assert ts.gradcheck(lambda: net.loss(x, x), *net.parameters())
    assert ts.ledger(loss, net.W).residual < 1e-12
    expected = loss.value, net.W.grad
    assert ts.compile(net.loss).backward(x, x) == expected[0] and np.array_equal(net.W.grad, expected[1])
    print("ran")
"""


def test_deleting_the_compiled_engine_leaves_the_reference_working(tmp_path: Path) -> None:
    copy = tmp_path / "tinyseq"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (copy / "engine").glob("*.py"):
        if path.name not in ENGINE_OF_THE_REFERENCE:
            path.unlink()
    assert run(WITHOUT_THE_COMPILED_ENGINE.format(folder=str(tmp_path)), tmp_path).split() == ["ran"]


def test_no_engine_file_names_a_cell() -> None:
    """No kernel or plan is written for a named cell."""
    for path in (PACKAGE / "engine").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
            str(n.value)
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and len(n.value) < 20
        }
        assert not {n for n in names if n.lower() in {"lstm", "gru", "rnn", "elman"}}, path.name
