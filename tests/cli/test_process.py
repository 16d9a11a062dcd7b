"""The program as a shell runs it: ``python -m tinyseq`` without a terminal, in another process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyseq as ts
from tinyseq.tasks import Vocabulary
from tinyseq.train import load, save

ROOT = str(Path(ts.__file__).parent.parent)


def run(*arguments, cwd, **environment):
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "tinyseq", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        timeout=300,
    )


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "m", ts.nn.RNN(4, 5, 4, rng=np.random.default_rng(0)), Vocabulary("ab\né"))
    (tmp_path / "text.txt").write_text("the cat sat on the mat\n" * 60)
    return tmp_path


def test_help_names_every_command(folder):
    result = run("--help", cwd=folder)
    assert result.returncode == 0
    for command in ("demo", "train", "sample", "draw", "gradcheck"):
        assert command in result.stdout.decode()


def test_no_command_shows_the_help(folder):
    result = run(cwd=folder)
    assert b"Usage: tinyseq" in result.stdout + result.stderr


def test_version(folder):
    assert run("--version", cwd=folder).stdout.decode().strip() == f"tinyseq {ts.__version__}"


def test_piped_training_has_no_control_codes_and_its_result_on_stdout(folder):
    result = run("train", "text.txt", "--hidden", "4", "--window", "5", "--batch", "2", "--steps", "20", cwd=folder)
    assert result.returncode == 0, result.stderr.decode()
    for stream in (result.stdout, result.stderr):
        assert b"\x1b" not in stream and b"\r" not in stream
    assert b"held out: " in result.stdout
    assert b"training 20/20 steps" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [0, 100])
def test_on_a_terminal_there_is_a_bar(folder, columns):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40 if columns else 0, columns, 0, 0))
    arguments = ["train", "text.txt", "--hidden", "4", "--window", "5", "--batch", "2", "--steps", "20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyseq", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            seen += part
    os.close(ours)
    assert process.wait(300) == 0
    last = [line for line in seen.decode().replace("\r", "\n").splitlines() if "bits/char" in line][-1]
    assert last.startswith("training 100% █")
    assert "20/20 steps" in last and "tokens/s" in last and " left" in last
    assert len(last) <= (columns or 80)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_saves_what_was_learned(folder):
    process = subprocess.Popen(
        # A shell may start its jobs with SIGINT ignored; no preexec_fn, which would fork a process that may hold JAX.
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
         "from tinyseq.cli import main; main()",
         "train", "text.txt", "-o", "early", "--hidden", "4", "--window", "5", "--batch", "2", "--steps", "5000"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stderr.readline()  # the first report: training is under way
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    assert re.search(rb"stopped early after \d+ of 5000 steps", out)
    assert b"Traceback" not in err
    assert load(folder / "early").model.hidden_size == 4


def test_sampling_twice_is_the_same_bytes(folder):
    runs = [run("sample", "m", "--seed", "7", "--length", "50", cwd=folder) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.decode("utf-8")) == 51
    assert runs[0].stderr == b""


def test_an_output_that_cannot_show_a_character_is_no_error(folder):
    result = run("sample", "m", "--prompt", "éa", "--length", "5", cwd=folder, PYTHONIOENCODING="cp1251")
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.startswith(b"?a")


def test_an_error_is_one_message_and_exit_code_1(folder):
    result = run("sample", "gone", cwd=folder)
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode().startswith("error: no model at gone")
    assert b"Traceback" not in result.stderr


def test_a_reader_that_leaves_early_is_no_error_message(folder):
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyseq", "sample", "m", "--length", "100"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(60)


def test_help_imports_no_plotting_and_no_torch(folder):
    code = (
        "import sys, tinyseq.cli; "
        "print([m for m in ('matplotlib', 'graphviz', 'pygraphviz', 'torch', 'tinyseq.viz') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True
    )
    assert result.stdout.decode().strip() == "[]", result.stderr.decode()
