"""The wheel: what is in it, and that it works installed, away from the sources."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

SCRIPT = """
import pathlib, sys
import numpy as np
import tinyseq as ts

assert pathlib.Path(ts.__file__).is_relative_to(sys.prefix), ts.__file__
net = ts.nn.RNN(3, 4, 3, rng=np.random.default_rng(0))
x = np.array([[0, 1], [2, 0], [1, 2]])
with ts.Tape() as tape:
    loss = net.loss(x, x)
loss.backward()
print(len(ts.ledger(loss, net.W)), tape.executor is not None, net.W.grad.shape)
from tinyseq import viz
print(viz.__name__)
"""


def command(*words: str | Path, cwd: Path) -> str:
    result = subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what is committed or about to be: the sources without caches."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("tinyseq", "viz"):
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = copy / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        text = (ROOT / name).read_bytes() if (ROOT / name).exists() else b"# tinyseq\n"
        (copy / name).write_bytes(text)
    command(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, copy, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with nothing but the wheel, on top of the packages that run these tests."""
    folder = tmp_path_factory.mktemp("environment")
    command(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    home = Path(command(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    target = ("--python", python, "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--no-index")
    command(sys.executable, "-m", "pip", *target, wheel, cwd=folder)
    # Dependencies come from the running environment, tinyseq itself never: its editable hook is left out.
    (home / "dependencies.pth").write_text(
        "".join(f"{path}\n" for path in sys.path if path.rstrip("/").endswith("-packages"))
    )
    return python


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_one_top_level_package(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert tops == {"tinyseq", f"tinyseq-{PROJECT['project']['version']}.dist-info"}
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_every_module_and_the_type_marker(wheel: Path) -> None:
    inside = set(names(wheel))
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tinyseq").rglob("*.py")}
    wanted |= {f"tinyseq/viz/{path.relative_to(ROOT / 'viz').as_posix()}" for path in (ROOT / "viz").rglob("*.py")}
    assets = list((ROOT / "viz" / "stepper" / "assets").iterdir())
    assert {path.suffix for path in assets} == {".html", ".css", ".js"}
    wanted |= {f"tinyseq/viz/stepper/assets/{path.name}" for path in assets}
    assert wanted <= inside, sorted(wanted - inside)
    assert "tinyseq/py.typed" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    assert not [name for name in inside if "test" in name.split("/")[-1] or "__pycache__" in name]


def test_the_wheel_names_its_command_and_its_dependencies(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"tinyseq-{PROJECT['project']['version']}.dist-info"
        metadata = archive.read(f"{folder}/METADATA").decode()
        scripts = archive.read(f"{folder}/entry_points.txt").decode()
    assert "tinyseq = tinyseq.cli:main" in scripts
    for dependency in PROJECT["project"]["dependencies"]:
        assert f"Requires-Dist: {dependency}" in metadata
    assert "License-Expression: MIT" in metadata


def test_the_installed_package_runs_from_another_folder(installed: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    out = command(installed, "-I", script, cwd=tmp_path)
    assert out.splitlines() == ["3 True (4, 4)", "tinyseq.viz"]


def test_the_version_is_said_once(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m, tinyseq; print(tinyseq.__version__ == m.version('tinyseq'))"
    assert command(installed, "-I", "-c", code, cwd=tmp_path).split() == ["True"]
