"""``tinyseq export``: a trained model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from tinyseq.cli.console import check_output, files, say
from tinyseq.errors import CallError
from tinyseq.tape import Tape
from tinyseq.train import Checkpoint
from tinyseq.train.checkpoints import write_safely
from tinyseq.train.run_folder import reopened

ENDINGS = {
    "onnx": ".onnx", "numpy": ".py", "torch": ".safetensors", "keras": ".npz", "json": ".json", "latex": ".tex",
}  # fmt: skip
STEPS = 3  # of the tape that is written as JSON


def export(
    run: Annotated[Path, typer.Argument(help="A folder that `tinyseq train` wrote, or a model file.")],
    to: Annotated[str, typer.Option("--to", help=f"What to write: {', '.join(ENDINGS)}.")] = "onnx",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file (default: beside the model).")] = None,
    lengths: Annotated[bool, typer.Option("--lengths", help="ONNX, NumPy: read lengths of padded sequences.")] = False,
    steps: Annotated[int, typer.Option(help="JSON: time steps of the tape.", min=1)] = STEPS,
) -> None:
    """Write a trained model for other programs: ONNX, a script of NumPy alone, weights for PyTorch or Keras, one
    forward pass as JSON, the equations as LaTeX.

    Example: tinyseq export tinyseq-model --to onnx -o model.onnx
    """
    if to not in ENDINGS:
        raise CallError(f"--to is one of {', '.join(ENDINGS)}; got {to!r}")
    if lengths and to not in ("onnx", "numpy"):
        raise CallError(f"--lengths is for --to onnx and --to numpy; {to} holds no inputs")
    found = reopened(run, best=True)
    folder = run if run.is_dir() else run.parent
    path = check_output(out or folder / f"exported{ENDINGS[to]}")
    content, told = WRITERS[to](found, lengths, steps)
    files([(write_safely(path, content), told)])
    if to == "onnx":
        say(_how_to_run(path, found, lengths))
    elif to == "numpy":
        say(f"Run it: python {path} x.npy{' lengths.npy' if lengths else ''} y.npy")


def _options(found: Checkpoint, lengths: bool = False) -> dict[str, Any]:
    return {"tokens": True if found.vocabulary is not None else None, "lengths": lengths}


def _about(found: Checkpoint) -> dict[str, Any]:
    """What a reader of the file has to know of inputs and outputs."""
    known = found.info.get("data", {})
    about = {"classes": known.get("classes"), "features": known.get("features")}
    if found.vocabulary is not None:
        about["vocabulary"] = found.vocabulary.symbols
    elif known.get("vocabulary"):
        about["vocabulary"] = known["vocabulary"]
    return {name: value for name, value in about.items() if value}


def _onnx(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    from tinyseq.exchange import to_onnx

    model = to_onnx(found.model, about=_about(found), **_options(found, lengths))
    return model.SerializeToString(), f"ONNX, {len(model.graph.node)} nodes"


def _numpy(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    from tinyseq.exchange import to_numpy

    return to_numpy(found.model, **_options(found, lengths)).encode(), "a script that needs NumPy alone"


def _torch(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    from safetensors.numpy import save

    from tinyseq.exchange import to_torch

    state = to_torch(found.model)
    return save(state), f"a state dict of PyTorch, {len(state)} arrays: {', '.join(_prefixes(state))}"


def _prefixes(state: dict[str, np.ndarray]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in state))


def _keras(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    import io

    from tinyseq.exchange import to_keras

    layers = to_keras(found.model)
    layers = layers if layers and isinstance(layers[0], list) else [layers]
    out = io.BytesIO()
    np.savez(out, **{f"layer{i}_{k}": array for i, layer in enumerate(layers) for k, array in enumerate(layer)})
    return out.getvalue(), f"weights of {len(layers)} Keras layers, layer0_0 … for layer.set_weights"


def _json(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    from tinyseq.exchange.signatures import signature

    known = signature(found.model, _options(found)["tokens"], False)
    sizes = {"T": steps, "S": steps, "B": 1}
    given = [np.zeros([sizes.get(axis, axis) for axis in one.axes], one.dtype) for one in known.inputs]
    from tinyseq.tensor.leaves import tensor

    with Tape() as tape:
        known.run(*[tensor(array, one.name) for array, one in zip(given, known.inputs, strict=True)])
    return tape.to_json().encode(), f"a tape of {len(tape)} nodes over {steps} steps"


def _latex(found: Checkpoint, lengths: bool, steps: int) -> tuple[bytes, str]:
    from tinyseq.exchange import to_latex

    text = to_latex(found.model, tokens=_options(found)["tokens"])
    return f"{text}\n".encode(), f"{text.count('&=')} equations"


WRITERS = {"onnx": _onnx, "numpy": _numpy, "torch": _torch, "keras": _keras, "json": _json, "latex": _latex}


def _how_to_run(path: Path, found: Checkpoint, lengths: bool) -> str:
    from tinyseq.exchange.signatures import signature

    given = signature(found.model, _options(found)["tokens"], lengths).inputs
    names = ["lengths" if one.name == "mask" else one.name for one in given]
    told = "; ".join(f"{one.name} {one.dtype} ({', '.join(map(str, one.axes))})" for one in given if one.name != "mask")
    told += "; lengths int64 (B)" if lengths else ""
    fed = ", ".join(f'"{name}": {name}' for name in names)
    return f'Run it: onnxruntime.InferenceSession("{path}").run(None, {{{fed}}})[0]   {told}'
