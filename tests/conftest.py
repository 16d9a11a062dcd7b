"""Fixtures for all tests. A module with ``pytestmark = pytest.mark.usefixtures("executor")`` runs on every executor."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinyseq.engine.compiled import Compiled
from tinyseq.engine.instances import INSTANCES
from tinyseq.engine.reference import Reference
from tinyseq.errors import FallbackWarning
from tinyseq.functions.vjps import RULES
from tinyseq.ops import OPS, Kernel
from tinyseq.tape import Tape

os.environ.setdefault("TINYSEQ_CHECK", "1")  # verify every tape and plan, in the processes that tests start too


class Planned(Compiled):
    """The compiled executor, planning tapes of any size."""

    small = 0


EXECUTORS: list[Any] = [Reference, Planned]


@pytest.fixture(params=EXECUTORS, ids=lambda executor: executor.__name__)
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make one executor after the other the default of all tapes."""
    monkeypatch.setattr(Tape, "default_executor", request.param)
    warnings.simplefilter("ignore", FallbackWarning)  # Planned is given tapes of every kind, those without a plan too
    return request.param


@pytest.fixture(autouse=True)
def no_templates() -> None:
    """No test gets a program by what another one planned, perhaps with a part of the planner exchanged."""
    INSTANCES.clear()


@pytest.fixture
def forgotten() -> Iterator[None]:
    """The ops, kernels and recorded vjps that a test registers are gone after it."""
    tables: tuple[Any, ...] = (OPS, Kernel.registry, RULES)
    before = [set(table) for table in tables]
    yield
    for table, names in zip(tables, before, strict=True):
        for name in set(table) - names:
            del table[name]


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def torch() -> Iterator[Any]:
    """PyTorch, where it is installed."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    import torch

    yield torch
