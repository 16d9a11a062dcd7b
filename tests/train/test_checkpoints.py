"""Saved models: what comes back, and every way a file can be wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as to_bytes

import tinyseq as ts
from tinyseq.errors import FileError
from tinyseq.tasks import Vocabulary
from tinyseq.train import Adam, load, sample_text, save
from tinyseq.train.checkpoints import FILE, digest, writable_folder, write_safely


def net(seed=0, **options):
    return ts.nn.RNN(5, 6, 5, rng=np.random.default_rng(seed), **options)


def header_of(file):
    with safe_open(file, "numpy") as opened:
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return arrays, json.loads(opened.metadata()["tinyseq"])


def rewrite(file, change):
    """Write a file whose header and weights were changed, its digest right again."""
    arrays, header = header_of(file)
    change(arrays, header)
    header["digest"] = digest(arrays)
    file.write_bytes(to_bytes(arrays, {"tinyseq": json.dumps(header)}))


def size(header, **changed):
    header["made"]["arguments"].update(changed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("learned", [False, True])
def test_a_model_comes_back_bit_for_bit(tmp_path, dtype, learned):
    model, vocabulary = net(dtype=dtype, learn_initial_state=learned), Vocabulary("ab\né😀")
    file = save(tmp_path / "deep" / "folder", model, vocabulary, info={"text": "naïve"})
    assert file == tmp_path / "deep" / "folder" / FILE
    for path in (file, file.parent, str(file.parent)):
        found = load(path)
        assert found.vocabulary == vocabulary
        assert found.info == {"text": "naïve"}
        assert found.optimiser_state is None
        back = found.model.state_dict()
        assert back.keys() == model.state_dict().keys()
        assert all(back[k].dtype == dtype and np.array_equal(back[k], v) for k, v in model.state_dict().items())


def test_a_loaded_model_writes_the_same_text(tmp_path):
    model, vocabulary = net(), Vocabulary("abcd\n")
    found = load(save(tmp_path, model, vocabulary))
    texts = [sample_text(m, vocabulary, 30, rng=np.random.default_rng(0)) for m in (model, found.model)]
    assert texts[0] == texts[1]


def test_optimiser_state_comes_back(tmp_path):
    model = net()
    adam = Adam(model.parameters(), 0.1)
    for p in model.parameters():
        p.grad = np.ones_like(p.value)
    adam.step()
    found = load(save(tmp_path, model, optimiser=adam))
    again = Adam(found.model.parameters(), 0.1)
    again.load_state_dict(found.optimiser_state)
    assert again.steps == 1
    assert all(np.array_equal(a, b) for a, b in zip(adam.state["mean"], again.state["mean"], strict=True))
    assert found.vocabulary is None


def test_saving_again_replaces_and_leaves_nothing_behind(tmp_path):
    save(tmp_path, net(0))
    save(tmp_path, net(1))
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert np.array_equal(load(tmp_path).model.W.value, net(1).W.value)


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("x")
    assert save(tmp_path, net()).stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_when_writing_fails_the_old_checkpoint_stays(tmp_path, monkeypatch, step):
    save(tmp_path, net(0))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(FileError, match=r"cannot write .*model\.safetensors: No space left on device"):
        save(tmp_path, net(1))
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert np.array_equal(load(tmp_path).model.W.value, net(0).W.value)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileError, match=r"cannot write into .*taken: it is a file, not a folder"):
        save(tmp_path / "taken", net())
    with pytest.raises(FileError, match=r"cannot write into the folder .*below"):
        save(tmp_path / "taken" / "below", net())


def test_a_folder_that_cannot_be_written(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        locked = Path("/proc/tinyseq")  # root may write anywhere, but not there
    if not Path("/proc").exists():
        pytest.skip("no folder here that the user may not write to")
    with pytest.raises(FileError, match="cannot write into the folder"):
        writable_folder(locked)


def test_no_such_model(tmp_path):
    with pytest.raises(FileError, match=r"no model at .*tinyseq train -o FOLDER"):
        load(tmp_path / "nothing")
    with pytest.raises(FileError, match=r"no model at .*model\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("kept", [1, 7, 100, -1])
def test_a_truncated_file(tmp_path, kept):
    file = save(tmp_path, net())
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    with pytest.raises(FileError, match="is damaged, or is not a safetensors file"):
        load(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(FileError, match="is empty"):
        load(tmp_path)


def test_a_flipped_bit_in_the_weights(tmp_path):
    file = save(tmp_path, net())
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(FileError, match="is damaged: its weights are not those that were saved"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + bytes(500), b"hello, world\n" * 20, bytes(64)])
def test_a_file_of_another_kind(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileError, match="not a safetensors file"):
        load(tmp_path / "x")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_of_another_program(tmp_path, metadata):
    (tmp_path / FILE).write_bytes(to_bytes({"W": np.ones((2, 2), np.float32)}, metadata))
    with pytest.raises(FileError, match="was not written by tinyseq"):
        load(tmp_path)


@pytest.mark.parametrize("header", ["{", "[]", '{"format": "x"}', "{}", "null"])
def test_a_broken_header(tmp_path, header):
    (tmp_path / FILE).write_bytes(to_bytes({"W": np.ones(2, np.float32)}, {"tinyseq": header}))
    with pytest.raises(FileError, match="is damaged: its header cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, h: h.update(format=99), "has format 99, this tinyseq reads up to 1; upgrade"),
        (lambda a, h: h["made"].update(model="Quantum"), "tinyseq.nn has no model named 'Quantum'"),
        (lambda a, h: h["made"].update(model="Module"), "cannot be used"),
        (lambda a, h: h["made"].update(model="__builtins__"), "no model named '__builtins__'"),
        (lambda a, h: size(h, hidden_size=7), r"weights for U have shape \(6, 5\), the model needs \(7, 5\)"),
        (lambda a, h: size(h, hidden_size=-1), "hidden_size must be a whole number of at least 1"),
        (lambda a, h: size(h, wings=2), "cannot be used: .*wings"),
        (lambda a, h: h["made"]["arguments"].pop("hidden_size"), "cannot be used: .*hidden_size"),
        (lambda a, h: h["made"].update(arguments=3), "its header describes no model"),
        (lambda a, h: h.update(made=3), "its header describes no model"),
        (lambda a, h: h.update(made={"class": "RNN"}), "its header describes no model"),
        (lambda a, h: h.update(made={"again": 0}), "its header describes no model"),
        (lambda a, h: h.pop("made"), "its header has no 'made'"),
        (lambda a, h: h.update(info=None), "cannot be used"),
        (lambda a, h: size(h, dtype={"dtype": "complex64"}), "cannot be used"),
        (lambda a, h: size(h, dtype={"dtype": "nonsense"}), "cannot be used"),
        (lambda a, h: size(h, dtype={"dtype": "float64"}), "weights for U are float32, the model is float64"),
        (lambda a, h: h.pop("vocabulary"), "its header has no 'vocabulary'"),
        (lambda a, h: h.update(vocabulary="aa"), "the vocabulary has 'a' twice"),
        (lambda a, h: h.update(vocabulary=7), "a vocabulary is a text .* got 7"),
        (lambda a, h: a.pop("model.W"), r"missing \['W'\]"),
        (lambda a, h: a.update({"model.Q": np.ones(2, np.float32)}), r"unknown \['Q'\]"),
    ],
)
def test_a_header_or_weights_that_do_not_fit(tmp_path, change, message):
    rewrite(save(tmp_path, net(), Vocabulary("abcde")), change)
    with pytest.raises(FileError, match=message):
        load(tmp_path)


def test_writing_makes_folders_and_whole_files(tmp_path):
    file = write_safely(tmp_path / "a" / "b.bin", b"abc")
    assert file.read_bytes() == b"abc"
    assert [p.name for p in file.parent.iterdir()] == ["b.bin"]


def test_a_path_that_names_the_file_is_the_file(tmp_path):
    assert save(tmp_path / "mine.safetensors", net()) == tmp_path / "mine.safetensors"
    assert (tmp_path / "mine.safetensors").is_file()
    assert load(tmp_path / "mine.safetensors").model.hidden_size == 6
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    assert save(folder, net()) == folder / FILE
    assert load(folder).model.hidden_size == 6
    assert save(tmp_path / "model.v2", net()) == tmp_path / "model.v2" / FILE  # any other name is a folder's


def test_ctrl_c_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    save(tmp_path, net(0))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, net(1))
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    assert np.array_equal(load(tmp_path).model.W.value, net(0).W.value)


@pytest.mark.parametrize("info", [{"a": np.arange(3)}, {"a": object()}, {(1, 2): 3}])
def test_info_that_json_cannot_hold(tmp_path, info):
    with pytest.raises(ts.TinyseqError, match="info is what JSON can hold"):
        save(tmp_path, net(), info=info)
    assert not list(tmp_path.iterdir())


def test_a_file_of_an_older_tinyseq_that_knows_no_ties_is_read(tmp_path):
    rewrite(save(tmp_path, net()), lambda arrays, header: header.pop("afterwards"))
    assert np.array_equal(load(tmp_path).model.W.value, net().W.value)


@pytest.mark.parametrize(
    "given",
    [3, {"tied": [["U", "V", "x.y"]]}, {"tied": 3}, {"options": {"q": {}}}, {"trainable": {"W.x": 1}}, {"x": 1}],
)
def test_a_broken_list_of_what_was_done_afterwards(tmp_path, given):
    rewrite(save(tmp_path, net()), lambda arrays, header: header.update(afterwards=given))
    with pytest.raises(FileError):
        load(tmp_path)
