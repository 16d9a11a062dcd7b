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

FLOORS = """
errors jit strict_json -> nothing
checks            -> errors
habits            -> errors
display           -> nothing
tape              -> errors checks jit habits display
structure         -> errors checks jit habits display
ops               -> tape jit errors habits
tasks             -> structure checks jit errors habits
data              -> tasks structure checks errors habits
tensor            -> ops tape checks display errors habits
engine            -> ops tape jit display errors habits
functions         -> tensor ops tape checks errors habits
unfolding         -> functions tensor structure tape errors habits
replay            -> unfolding engine functions tensor tape errors habits checks
nn                -> data tasks replay unfolding functions tensor engine structure ops tape jit checks display errors \
    habits
exchange          -> nn replay unfolding functions tensor engine structure ops tape checks errors habits
diagnose          -> nn replay unfolding functions tensor engine structure ops tape jit checks display errors habits
train             -> diagnose data tasks nn replay unfolding functions tensor engine structure ops tape jit checks \
    display errors habits strict_json
face              -> diagnose nn replay unfolding functions tensor engine structure ops tape errors habits
viz               -> face train data tasks diagnose nn replay unfolding functions tensor structure ops tape jit \
    errors habits strict_json
checking          -> face engine checks errors
bench             -> face train tasks nn engine unfolding functions tensor structure ops jit errors strict_json
results           -> face bench train tasks diagnose nn replay unfolding functions tensor engine structure errors \
    strict_json
cli               -> viz results bench checking face exchange train data tasks diagnose nn unfolding functions \
    tensor engine structure tape ops errors strict_json
__main__          -> cli

engine/environment -> nothing
engine/forks       -> nothing
engine/limits      -> nothing
engine/no_gradient -> nothing
engine/reference   -> engine/no_gradient
engine/kernels     -> nothing
engine/plan        -> engine/kernels engine/environment
engine/machine     -> engine/plan engine/kernels engine/reference engine/forks
engine/validation  -> engine/machine engine/plan engine/kernels engine/reference

viz/look          -> nothing
viz/diagram       -> viz/look
viz/placing       -> viz/diagram viz/look
viz/output        -> viz/diagram viz/look
viz/excerpt       -> viz/diagram viz/look
viz/units         -> viz/excerpt viz/diagram viz/look
viz/views         -> viz/units viz/excerpt viz/diagram viz/look
"""
# Rows name modules and packages right below tinyseq; "face" is tinyseq/__init__.py. A row may import what stands right
# of its arrow and itself, whether at once, inside a function or for types only; of the packages that follow, only what
# their folders are allowed is told.
ALLOWED = {
    name: set() if right.strip() == "nothing" else set(right.split())
    for line in FLOORS.splitlines()
    if line
    for left, _, right in [line.partition("->")]
    for name in left.split()
}
LATER = {"display": {"viz", "exchange"}}  # the one door upwards


def module_name(path: Path) -> str:
    """The dotted name of a source."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("tinyseq", *parts) if parts[0] == "viz" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for top in (PACKAGE, ROOT / "viz") for path in sorted(top.rglob("*.py"))}


def group(module: str) -> str:
    """The row of a module."""
    return [*module.split("."), ""][1] or "face"


def room(module: str) -> str:
    """The row of a module among those of folders, "" where it has none."""
    found = "/".join(module.split(".")[1:3])
    return found if found in ALLOWED and "/" in found else ""


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of every import of tinyseq: at once, inside a function, or for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == "tinyseq":
                    yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the full name of the module"
            if (node.module or "").split(".")[0] == "tinyseq":
                for name in node.names:
                    inner = f"{node.module}.{name.name}"
                    yield inner if inner in SOURCES else str(node.module), node.lineno


EDGES = [(name, target, line) for name, path in SOURCES.items() for target, line in imports(path)]


def told(name: str, target: str, line: int) -> str:
    return f"{SOURCES[name].relative_to(ROOT)}:{line} imports {target}"


def test_every_module_has_its_place_in_the_house() -> None:
    assert {group(name) for name in SOURCES} <= ALLOWED.keys()


def test_a_row_may_import_only_rows_above_it() -> None:
    rows = list(ALLOWED)
    for place, row in enumerate(rows):
        assert ALLOWED[row] <= set(rows[:place]) | set(), row


@pytest.mark.parametrize("row", [row for row in ALLOWED if "/" not in row])
def test_imports_run_in_one_direction(row: str) -> None:
    may = ALLOWED[row] | {row} | LATER.get(row, set())
    wrong = [told(*edge) for edge in EDGES if group(edge[0]) == row and group(edge[1]) not in may]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("row", [row for row in ALLOWED if "/" in row])
def test_imports_inside_a_package_run_in_one_direction(row: str) -> None:
    package = row.split("/")[0]
    wrong = [
        told(*edge)
        for edge in EDGES
        if room(edge[0]) == row and group(edge[1]) == package and room(edge[1]) not in ALLOWED[row] | {row}
    ]
    assert not wrong, "\n".join(wrong)


def circles() -> list[list[str]]:
    """Files that import each other, in circles of any length; the door upwards left out."""
    reads: dict[str, set[str]] = {name: set() for name in SOURCES}
    for name, target, _ in EDGES:
        if group(target) not in LATER.get(group(name), set()) and target in reads:
            reads[name].add(target)
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str, graph: dict[str, set[str]], out: list[str]) -> None:
        stack = [(name, iter(sorted(graph[name])))]
        seen.add(name)
        while stack:
            at, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                out.append(at)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(graph[following]))))

    for name in reads:
        if name not in seen:
            visit(name, reads, order)
    read_by: dict[str, set[str]] = {name: set() for name in reads}
    for name, targets in reads.items():
        for target in targets:
            read_by[target].add(name)
    seen.clear()
    found = []
    for name in reversed(order):
        if name not in seen:
            members: list[str] = []
            visit(name, read_by, members)
            if len(members) > 1 or name in reads[name]:
                found.append(sorted(members))
    return found


def test_there_is_no_circle() -> None:
    assert circles() == []


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


ENGINE_OF_THE_REFERENCE = {
    "__init__.py",
    "environment.py",
    "no_gradient.py",
    "reference.py",
    "protocol.py",
    "forks.py",
    "limits.py",
    "reasons.py",
}
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
    for path in (copy / "engine").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ENGINE_OF_THE_REFERENCE:
            path.unlink()
    assert run(WITHOUT_THE_COMPILED_ENGINE.format(folder=str(tmp_path)), tmp_path).split() == ["ran"]


def test_no_engine_file_names_a_cell() -> None:
    """No kernel or plan is written for a named cell."""
    for path in (PACKAGE / "engine").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {
            str(n.value)
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and len(n.value) < 20
        }
        assert not {n for n in names if n.lower() in {"lstm", "gru", "rnn", "elman"}}, path.name
