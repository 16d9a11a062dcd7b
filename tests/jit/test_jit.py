"""The kernel decorator and its disk cache, mostly in fresh processes on a small package of the same layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tinyseq.jit.decorators
from tinyseq.jit.decorators import FASTMATH, kernel, kernel_from_source

INFRASTRUCTURE = ("__init__.py", "decorators.py", "cache.py", "fingerprint.py")

CALLEE = """
from numba.extending import overload
from tinyseq.jit import kernel

@kernel
def bend(x):
    return x + 1.0

def offset(x):
    return x + 10.0

@overload(offset)
def _offset(x):
    return lambda x: x + 10.0
"""

CALLER = """
from tinyseq.jit import kernel, kernel_from_source
from tinyseq.ops.callee import bend, offset

SCALE = 2.0

@kernel
def written(a):
    return offset(bend(a[0])) * SCALE

generated = kernel_from_source("generated", '''
def generated(a):
    return bend(a[0]) * factor
''', {"bend": bend, "factor": 3.0})

def make(function, factor):
    @kernel
    def closed(a):
        return function(a) * factor
    return closed

closed = make(generated, 5.0)
"""

RUN = """
import json, sys, warnings
import numpy as np
from tinyseq.engine.machine.vm import written, generated, closed
report = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for f in (written, generated, closed):
        value = f(np.array([1.0]))
        report[f.py_func.__name__] = [value, sum(f.stats.cache_hits.values()), sum(f.stats.cache_misses.values())]
    report["folder"] = written.stats.cache_path
    report["warnings"] = [str(w.message) for w in caught]
print(json.dumps(report))
"""


class Copy:
    """A package `tinyseq` in a folder of its own, and the cache beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        for folder in (
            "tinyseq",
            "tinyseq/jit",
            "tinyseq/ops",
            "tinyseq/engine",
            "tinyseq/engine/machine",
            "tinyseq/engine/plan",
        ):
            (root / folder).mkdir()
            (root / folder / "__init__.py").touch()
        for name in INFRASTRUCTURE:
            shutil.copy(Path(tinyseq.jit.decorators.__file__).with_name(name), root / "tinyseq" / "jit" / name)
        self.write("tinyseq/ops/callee.py", CALLEE)
        self.write("tinyseq/engine/machine/vm.py", CALLER)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, script: str = RUN, **environment: str):
        # Python trusts a .pyc by size and whole seconds: an edit of the same length right after a run is lost.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "TINYSEQ_", "PYTHON"))}
        base = {"TINYSEQ_CACHE_DIR": str(self.cache), "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env={**inherited, **base, **environment},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_an_edit_of_what_plans_recompiles_nothing(copy: Copy):
    copy.write("tinyseq/engine/plan/pipeline.py", "SIZE = 1\n")
    before = copy.run()
    copy.edit("tinyseq/engine/plan/pipeline.py", "SIZE = 1", "SIZE = 2")
    after = copy.run()
    assert after["folder"] == before["folder"]
    assert [after[name][2] for name in ("written", "generated", "closed")] == [0, 0, 0]


def test_second_process_loads_every_kernel_from_disk(copy: Copy):
    first, second = copy.run(), copy.run()
    assert first["written"] == [24.0, 0, 1] and first["generated"] == [6.0, 0, 1]
    assert first["closed"] == [30.0, 0, 1]
    assert second["written"] == [24.0, 1, 0] and second["generated"] == [6.0, 1, 0]
    assert second["closed"] == [30.0, 1, 0]
    assert first["folder"] == second["folder"] and first["warnings"] == second["warnings"] == []


EDITS = [
    ("tinyseq/ops/callee.py", "return x + 1.0", "return x + 2.0", (26.0, 9.0, 45.0)),
    ("tinyseq/ops/callee.py", "return lambda x: x + 10.0", "return lambda x: x + 20.0", (46.0, 9.0, 45.0)),
    ("tinyseq/engine/machine/vm.py", "SCALE = 2.0", "SCALE = 4.0", (92.0, 9.0, 45.0)),
    ("tinyseq/engine/machine/vm.py", '"factor": 3.0', '"factor": 7.0', (92.0, 21.0, 105.0)),
]


def test_an_edit_with_a_warm_cache_gives_the_new_result(copy: Copy):
    """A callee in another file, an overload in another file, a global, the namespace of generated text."""
    copy.run()
    for file, old, new, expected in EDITS:
        copy.edit(file, old, new)
        report = copy.run()
        assert (report["written"][0], report["generated"][0], report["closed"][0]) == expected


def test_edits_outside_the_package_are_seen_too(copy: Copy):
    """A user's kernel and its callee lie in no hashed folder: their content alone must tell."""
    copy.write("helper.py", "from tinyseq.jit import kernel\n@kernel\ndef shift(x):\n    return x + 1.0\n")
    copy.write(
        "mine.py",
        "import helper\nfrom tinyseq.jit import kernel\n@kernel\ndef main(x):\n    return helper.shift(x) * 2.0\n",
    )
    script = """
    import json, mine
    print(json.dumps([mine.main(1.0), sum(mine.main.stats.cache_hits.values())]))
    """
    assert copy.run(script) == [4.0, 0]
    assert copy.run(script) == [4.0, 1]
    copy.edit("helper.py", "x + 1.0", "x + 3.0")
    assert copy.run(script) == [8.0, 0]


def test_a_cached_and_a_fresh_function_of_one_name_do_not_mix(copy: Copy):
    """Numba gives both the symbol "f, version 1"; linked into one caller, one would stand for the other."""
    script = """
    import json
    from tinyseq.jit import kernel_from_source
    f0, f1 = [kernel_from_source("f", f"def f(x):\\n    return x + {n}\\n", {}) for n in (1, 2)]
    for f in (%s):
        f(1)
    both = kernel_from_source("both", "def both(x):\\n    return 10 * f0(x) + f1(x)\\n", {"f0": f0, "f1": f1})
    print(json.dumps(%s))
    """
    assert copy.run(script % ("f1,", "0"), PYTHONHASHSEED="0") == 0
    assert copy.run(script % ("f0, f1", "both(1)"), PYTHONHASHSEED="0") == 23


def test_loading_prepares_the_compiler_only_when_the_code_needs_it(copy: Copy):
    """Finished loops need no compiler; hashing a string needs an address that Numba's compiler registers."""
    script = """
    import json, sys
    import numpy as np
    from tinyseq.jit import kernel_from_source
    loop = kernel_from_source("loop", "def loop(a):\\n    for i in range(a.size):\\n        a[i] += 1.0\\n", {})
    text = kernel_from_source("text", "def text(n):\\n    return {str(n): n}[str(n)]\\n", {})
    a = np.zeros(3)
    loop(a)
    early = "numba.np.linalg" in sys.modules
    print(json.dumps([a.tolist(), early, text(7), *[sum(f.stats.cache_hits.values()) for f in (loop, text)]]))
    """
    assert copy.run(script) == [[1.0, 1.0, 1.0], True, 7, 0, 0]
    assert copy.run(script) == [[1.0, 1.0, 1.0], False, 7, 1, 1]


def test_compiler_flags_are_part_of_the_key(copy: Copy):
    script = """
    import json
    from tinyseq.jit import kernel_from_source
    f = kernel_from_source("f", "def f(x):\\n    return 1.0 / x\\n", {}, error_model=%r)
    try:
        value = str(f(0.0))
    except ZeroDivisionError:
        value = "error"
    print(json.dumps(value))
    """
    assert copy.run(script % "numpy") == "inf"
    assert copy.run(script % "python") == "error"


def test_a_damaged_entry_is_compiled_anew(copy: Copy):
    folder = Path(copy.run()["folder"])
    for entry in folder.glob("*.nbc"):
        entry.write_bytes(entry.read_bytes()[:100])
    assert copy.run()["written"] == [24.0, 0, 1]
    assert copy.run()["written"] == [24.0, 1, 0]


def test_sources_edited_under_a_running_process_are_not_cached(copy: Copy):
    """The modules in memory are older than the files: their code must not be filed under the new text."""
    script = """
    import pathlib, time
    import tinyseq.ops.callee
    time.sleep(0.05)
    path = pathlib.Path(tinyseq.ops.callee.__file__)
    path.write_text(path.read_text().replace("x + 1.0", "x + 2.0"))
    """
    assert copy.run(textwrap.dedent(script) + RUN)["written"] == [24.0, 0, 1]
    assert not copy.cache.exists()
    assert copy.run()["written"] == [26.0, 0, 1]


def test_old_folders_go_when_all_take_too_much_and_nothing_else(copy: Copy):
    """Six old folders of 100 MB (files with a hole): with the new one at most five fit into 512 MB."""
    copy.cache.mkdir()
    for age in range(6):
        folder = copy.cache / f"kernels-{age:024x}"
        folder.mkdir()
        with open(folder / "code.nbc", "wb") as file:
            file.truncate(100 << 20)
        os.utime(folder, (1e9 - age, 1e9 - age))
    (copy.cache / "letters").mkdir()
    current = Path(copy.run()["folder"])
    kept = {folder.name for folder in copy.cache.iterdir()}
    assert kept == {current.name, *(f"kernels-{age:024x}" for age in range(5)), "letters"}


def test_many_checkouts_live_side_by_side(copy: Copy):
    """Five other checkouts make folders after this one's, and it still finds its own code."""
    before = copy.run()
    for other in range(4):
        (copy.cache / f"kernels-{other:024x}").mkdir()
    copy.edit("tinyseq/engine/machine/vm.py", "SCALE = 2.0", "SCALE = 3.0")
    assert copy.run()["written"] == [36.0, 0, 1]
    copy.edit("tinyseq/engine/machine/vm.py", "SCALE = 3.0", "SCALE = 2.0")
    after = copy.run()
    assert after["written"] == [24.0, 1, 0] and after["folder"] == before["folder"]
    assert len(list(copy.cache.iterdir())) == 6


def test_two_checkouts_with_the_same_kernels_share_them(tmp_path: Path):
    reports = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copy = Copy(tmp_path / name)
        copy.cache = tmp_path / "cache"
        reports.append(copy.run())
    assert reports[0]["folder"] == reports[1]["folder"]
    assert reports[0]["written"] == [24.0, 0, 1] and reports[1]["written"] == [24.0, 1, 0]


def test_processes_that_compile_at_once_do_not_harm_each_other(copy: Copy):
    """Four start with nothing compiled, and write the same files; what they leave is whole."""
    with ThreadPoolExecutor(4) as pool:
        reports = [task.result() for task in [pool.submit(copy.run) for _ in range(4)]]
    for report in reports:
        assert [report[name][0] for name in ("written", "generated", "closed")] == [24.0, 6.0, 30.0]
        assert report["warnings"] == []
    assert copy.run()["written"] == [24.0, 1, 0] and copy.run()["closed"] == [30.0, 1, 0]
    assert not list(copy.cache.rglob("*.tmp"))


def test_a_folder_that_another_process_removes_is_made_anew(copy: Copy):
    script = """
    import shutil
    from tinyseq.engine.machine.vm import generated
    generated(np.array([1.0]))
    shutil.rmtree(generated.stats.cache_path)
    """
    report = copy.run("import numpy as np\n" + textwrap.dedent(script) + RUN)
    assert report["written"] == [24.0, 0, 1] and report["warnings"] == []
    assert copy.run()["written"] == [24.0, 1, 0]


def test_what_a_process_that_died_left_half_written_goes(copy: Copy):
    old, young = (copy.cache / f"kernels-{1:024x}" / f"{name}.tmp" for name in ("old", "young"))
    old.parent.mkdir(parents=True)
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    copy.run()
    assert not old.exists() and young.exists()


def test_an_unwritable_folder_falls_back_to_a_private_temporary_one(copy: Copy):
    copy.write("file", "")
    blocked, temporary = str(copy.root / "file" / "below"), copy.root / "temporary"
    temporary.mkdir()
    silent = copy.run(TINYSEQ_CACHE_DIR="", XDG_CACHE_HOME=blocked, TMPDIR=str(temporary))
    assert silent["written"][0] == 24.0 and silent["warnings"] == []
    assert Path(silent["folder"]).is_relative_to(temporary)
    asked = copy.run(TINYSEQ_CACHE_DIR=blocked, TMPDIR=str(temporary))
    assert asked["written"] == [24.0, 1, 0]
    assert len(asked["warnings"]) == 1 and blocked in asked["warnings"][0]


def test_a_temporary_folder_open_to_others_is_not_used(copy: Copy):
    """Entries are pickles: whoever can write one can run code here."""
    copy.write("file", "")
    blocked, temporary = str(copy.root / "file" / "below"), copy.root / "temporary"
    temporary.mkdir()
    (temporary / f"tinyseq-{os.getuid()}").mkdir(mode=0o777)
    (temporary / f"tinyseq-{os.getuid()}").chmod(0o777)
    report = copy.run(TINYSEQ_CACHE_DIR=blocked, TMPDIR=str(temporary))
    assert report["written"][0] == 24.0 and report["folder"] is None
    assert "compiling anew" in report["warnings"][0] and len(report["warnings"]) == 1


def test_what_cannot_be_hashed_is_compiled_but_not_cached(copy: Copy):
    copy.write(
        "mine.py",
        "from numba.extending import overload\nfrom tinyseq.jit import kernel\n"
        "def twice(x): pass\n@overload(twice)\ndef _twice(x):\n    return lambda x: 2 * x\n"
        "@kernel\ndef main(x):\n    return twice(x)\n",
    )
    script = """
    import json, mine, warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print(json.dumps([mine.main(4), [str(w.message) for w in caught]]))
    """
    value, messages = copy.run(script)
    assert value == 8 and len(messages) == 1
    assert "isn't cached" in messages[0] and "'twice'" in messages[0]
    assert not list(copy.cache.rglob("*.nbc"))


def test_without_the_jit_kernels_are_plain_functions(copy: Copy):
    script = """
    import json, traceback
    import numpy as np
    from tinyseq.engine.machine.vm import generated, make
    from tinyseq.jit import kernel_from_source
    try:
        kernel_from_source("f", "def f(x):\\n    return x + missing\\n", {})(1)
    except NameError:
        text = traceback.format_exc()
    print(json.dumps([type(generated).__name__, generated(np.array([1.0])), "return x + missing" in text]))
    """
    assert copy.run(script, NUMBA_DISABLE_JIT="1") == ["function", 6.0, True]


def test_nothing_is_compiled_before_the_first_call():
    @kernel
    def f(x):
        return x + 1

    assert not f.signatures
    assert f(1) == 2
    assert len(f.signatures) == 1


def test_flags_keep_nan_and_infinity_and_can_be_overridden():
    @kernel
    def quotient(x, y):
        return x / y

    @kernel(fastmath=False)
    def strict(x):
        return x

    assert not FASTMATH & {"nnan", "ninf", "fast"}
    assert quotient(1.0, 0.0) == np.inf and np.isnan(quotient(0.0, 0.0))
    assert quotient.targetoptions["nogil"] and quotient.targetoptions["fastmath"] == set(FASTMATH)
    assert strict.targetoptions["fastmath"] is False


def test_generated_text_is_shown_by_numba_errors():
    f = kernel_from_source("f", "def f(x):\n    return x + 'text'\n", {})
    with pytest.raises(Exception, match="return x \\+ 'text'"):
        f(1)


def test_errors_say_what_was_given():
    with pytest.raises(TypeError, match="not 3: write @kernel above a def"):
        kernel(3)
    with pytest.raises(ValueError, match="no function 'g'; its first line is 'def f"):
        kernel_from_source("g", "def f(x):\n    return x\n", {})
    with pytest.raises(SyntaxError):
        kernel_from_source("f", "def f(x) return x", {})
