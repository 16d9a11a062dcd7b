"""Saved models: one safetensors file in a folder, with all that rebuilds the model as JSON in its header.

The file is complete or not there: it is written under another name, flushed, and put in place by one rename.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import numpy as np

from tinyseq.errors import FileError, TinyseqError
from tinyseq.habits import advised, wrong_call
from tinyseq.nn.module import Module
from tinyseq.strict_json import dumps_exact, loads_exact
from tinyseq.tasks.text import Vocabulary
from tinyseq.train.afterwards import Afterwards, check_rebuilt
from tinyseq.train.optimisers import Optimiser
from tinyseq.train.recipes import make, recipe_and_twin

FILE = "model.safetensors"
FORMAT = 1


@dataclass
class Checkpoint:
    """A model read back, with what was saved beside it."""

    model: Any
    vocabulary: Vocabulary | None = None
    optimiser_state: dict[str, np.ndarray] | None = None
    info: dict[str, Any] = field(default_factory=dict)


@advised
def save(
    folder: str | Path,
    model: Module,
    vocabulary: Vocabulary | None = None,
    optimiser: Optimiser | None = None,
    info: dict[str, Any] | None = None,
) -> Path:
    """Write a model into a folder (made if need be), or as a file whose name ends in .safetensors; returns the file.

    The file holds the weights and how the model was made: class, constructor arguments, the models among them; and
    what was tied or fixed afterwards. ``info`` is anything JSON can hold. Raises FileError where the folder cannot be
    written, and TinyseqError where ``load`` would not give the same model; an older checkpoint is then as it was.
    """
    from safetensors.numpy import save as to_bytes

    made, twin = recipe_and_twin(model)
    afterwards = Afterwards.of(model, twin)
    check_rebuilt(model, twin, afterwards)
    arrays = {f"model.{name}": array for name, array in model.state_dict().items()}
    if optimiser is not None:
        arrays.update({f"optimiser.{name}": array for name, array in optimiser.state_dict().items()})
    header = {
        "format": FORMAT,
        "made": made,
        "afterwards": afterwards.as_json(),
        "vocabulary": vocabulary.symbols if vocabulary else None,
        "info": info or {},
        "digest": digest(arrays),
    }
    try:
        text = dumps_exact(header)
    except (TypeError, ValueError) as error:
        raise TinyseqError(f"info is what JSON can hold, texts, numbers, lists and dicts; {error}") from None
    return write_safely(checkpoint_file(folder), to_bytes(arrays, {"tinyseq": text}))


def checkpoint_file(path: str | Path) -> Path:
    """The file that a checkpoint's path means: itself where it is named so, else the one in the folder."""
    path = Path(path)
    return path if path.suffix == Path(FILE).suffix and not path.is_dir() else path / FILE


def load(path: str | Path, classes: Sequence[type[Module]] = (), **other: Never) -> Checkpoint:
    """Read a checkpoint: a folder that ``save`` wrote, or the file in it.

    ``classes`` are the user's own that the model is made of; a file is never trusted to import any.
    Raises FileError naming the problem: missing, damaged, of another program, of a newer tinyseq, of another model.
    """
    if other:
        raise wrong_call(load, (path, classes), other)
    if not isinstance(path, (str, os.PathLike)):
        raise FileError(f"a model is loaded from the path of its folder or file, got {type(path).__name__}")
    path = Path(path)
    file = path / FILE if path.is_dir() else path
    arrays, header = _read(file)
    if header.get("digest") != digest(arrays):
        raise FileError(f"{file} is damaged: its weights are not those that were saved; train or copy it again")
    try:
        model = make(header["made"], classes)
        if not isinstance(model, Module):
            raise TinyseqError(f"its header describes no model: {str(header['made'])[:60]}")
        Afterwards.from_json(header.get("afterwards")).put_on(model)
        symbols, info = header["vocabulary"], dict(header["info"])
        model.load_state_dict({k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")})
        vocabulary = Vocabulary(symbols) if symbols is not None else None
    except KeyError as error:
        raise FileError(f"{file} is damaged: its header has no {error}") from None
    except (
        TinyseqError, TypeError, ValueError, AttributeError, IndexError, StopIteration, RecursionError, MemoryError
    ) as error:  # fmt: skip
        raise FileError(f"{file} cannot be used: {error}") from None
    state = {k.removeprefix("optimiser."): v for k, v in arrays.items() if k.startswith("optimiser.")}
    return Checkpoint(model, vocabulary, state or None, info)


def _read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        if file.stat().st_size == 0:
            raise FileError(f"{file} is empty; it was never written or is damaged")
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise FileError(f"no model at {file}; `tinyseq train -o FOLDER` writes one") from None
    except SafetensorError as error:
        raise FileError(f"{file} is damaged, or is not a safetensors file: {error}") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror or error}") from None
    if "tinyseq" not in metadata:
        raise FileError(f"{file} was not written by tinyseq: its header does not say which model it holds")
    try:
        header = loads_exact(metadata["tinyseq"])
        version = int(header["format"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileError(f"{file} is damaged: its header cannot be read") from None
    if version > FORMAT:
        raise FileError(f"{file} has format {version}, this tinyseq reads up to {FORMAT}; upgrade tinyseq")
    return arrays, header


def digest(arrays: dict[str, np.ndarray]) -> str:
    """A fingerprint of names, dtypes, shapes and every byte."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def writable_folder(folder: str | Path) -> Path:
    """Make a folder and check that files can be written there. Raises FileError."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise FileError(f"cannot write into {folder}: it is a file, not a folder") from None
    except OSError as error:
        raise FileError(f"cannot write into the folder {folder}: {error.strerror or error}") from None
    return folder


def write_safely(file: Path, content: bytes) -> Path:
    """Write a file whole or not at all, and leave nothing else behind. Raises FileError."""
    file = Path(os.path.realpath(file)) if file.is_symlink() else file
    folder = writable_folder(file.parent)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{file.name}.", delete=False) as out:
            temporary = out.name
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, file)
    except BaseException as error:  # Ctrl-C too
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FileError(f"cannot write {file}: {error.strerror or error}") from None
        raise
    return file


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
