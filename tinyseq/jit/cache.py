"""A disk cache of compiled kernels in which stale machine code is impossible.

Numba's own cache watches one file, the caller's, and would go on running the old code of a callee that lives
in another. Here an entry is found only under the exact content it was compiled from:

- the folder is a hash of every kernel source of the package and of the versions that generate code;
- the file is a hash of the function's bytecode, constants, compiler flags and signature, and of every
  global, closure variable and kernel it reaches (`tinyseq.jit.fingerprint`).

Files are written once and renamed into place, one for each entry, so processes need no lock between them. Folders of
several checkouts and versions lie side by side; when a new one is made, those not used for longest go until the rest
takes no more than `LARGEST` bytes. A process whose folder goes compiles again, and makes it anew.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite.binding import address_of_symbol
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, _Cache
from numba.core.errors import NumbaWarning
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from tinyseq.jit.fingerprint import STAMPED, UnknownContentError, fingerprint, is_stamped

LARGEST = 512 << 20  # a folder with the kernels of many nets in both precisions takes 20 to 30 MB
ABANDONED = 3600  # seconds after which a file that was never renamed belongs to a process that died
# Settings of Numba (environment variables NUMBA_...) that change the code it makes.
_SWITCHES = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")
_FOLDER = re.compile(r"kernels-[0-9a-f]{24}")
_started = time.time()


class KernelCache(_Cache):
    """The disk cache of one kernel, opened at its first compilation. Attached as `dispatcher._cache`."""

    def __init__(self, function: FunctionType, options: dict[str, Any]) -> None:
        self._function = function
        self._options = options
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        folder = cache_folder()
        return None if folder is None else str(folder)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        folder = cache_folder()
        for path in folder.glob(f"{self._stem()}-*.nbc") if folder else ():
            path.unlink(missing_ok=True)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            symbols, payload = pickle.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except Exception:  # a damaged file may raise anything; compiling again writes it anew
            return None
        if not _can_link(symbols, target_context):
            return None
        return CompileResultCacheImpl.rebuild(self, target_context, payload)  # type: ignore[arg-type]

    def save_overload(self, sig: Any, data: Any) -> None:
        path = self._path(sig, data.codegen)
        if path is None or not self._cacheable(data):
            return
        reduced = CompileResultCacheImpl.reduce(self, data)  # type: ignore[arg-type]
        content = dumps((_undefined_symbols(data.library), reduced))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, content)
        except OSError:  # a full disk, or the folder pruned by another process: the code in memory is good
            return

    def _cacheable(self, result: Any) -> bool:
        if any(not lifted.can_cache for lifted in result.lifted):
            reason = "it uses lifted code"
        elif result.library.has_dynamic_globals:
            reason = "it holds an address of this process (a ctypes pointer or a large global array)"
        else:
            return True
        message = f"kernel {self._function.__qualname__} isn't cached on disk: {reason}"
        warnings.warn(message, NumbaWarning, stacklevel=2)
        return False

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        # An argument that is a function shows as an address, which means nothing to another process.
        if not self._enabled or folder is None or " at 0x" in repr(sig):
            return None
        try:
            content = fingerprint(self._function, self._options)
        except UnknownContentError as error:
            self._enabled = False
            warnings.warn(str(error), NumbaWarning, stacklevel=2)
            return None
        self._make_symbols_unique(content)
        switches = [getattr(config, name) for name in _SWITCHES]
        key = repr((content, sig, codegen.magic_tuple(), switches))
        return folder / f"{self._stem()}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.nbc"

    def _stem(self) -> str:
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        return re.sub(r"[^\w.]+", "", name)[-100:]

    def _make_symbols_unique(self, content: str) -> None:
        """Numba's symbols end in a counter that starts anew in each process, so two functions of one name,
        one loaded and one compiled, could get the same symbol. A name in a stamped file stands for one."""
        name = self._function.__qualname__
        suffix = f"_{content[:12]}"
        if not name.endswith(suffix) and ("<locals>" in name or not is_stamped(self._function)):
            self._function.__qualname__ = name + suffix


def _undefined_symbols(library: Any) -> list[str]:
    module = library._final_module
    names = {value.name for value in (*module.functions, *module.global_variables) if value.is_declaration}
    return sorted(name for name in names if not name.startswith(("llvm.", "NRT_")))


def _can_link(symbols: list[str], target_context: Any) -> bool:
    """Whether machine code that refers to `symbols` can run in this process.

    Numba prepares its whole compiler before it loads anything (0.3 s, SciPy included). All that finished code
    needs is the runtime and the addresses; only if one is missing may preparing the compiler provide it.
    """
    rtsys.initialize(target_context)
    if all(map(address_of_symbol, symbols)):
        return True
    target_context.refresh()
    return all(map(address_of_symbol, symbols))


def cache_folder() -> Path | None:
    """The folder of this version of the kernels, writable; None if there is nowhere to write."""
    stamp = source_stamp()
    return None if stamp is None else _open_folder(os.environ.get("TINYSEQ_CACHE_DIR", ""), _user_cache(), stamp)


@cache
def source_stamp() -> str | None:
    """Hash of all kernel sources and of what compiles them; None when it can't be trusted."""
    paths = sorted(path for entry in STAMPED for path in ([entry] if entry.is_file() else entry.rglob("*.py")))
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    digest = hashlib.sha256(repr(versions).encode())
    for path in paths:
        # An edit after this process began: the modules in memory may be older than the text on disk.
        if path.stat().st_ctime > _started:
            return None
        text = path.read_bytes()
        digest.update(f"{path.relative_to(STAMPED[0].parent)}:{len(text)}:".encode() + text)
    return digest.hexdigest()[:24] if paths else None


@cache
def _open_folder(override: str, default: str, stamp: str) -> Path | None:
    base = Path(override or default).expanduser()
    try:
        return _make_folder(base, stamp)
    except OSError as error:
        problem = f"the kernel cache {base} can't be written ({error.strerror or error})"
    try:
        fallback = _make_folder(_private_temporary_folder(), stamp)
    except OSError:
        fallback = None
    if override or fallback is None:
        instead = f"using {fallback.parent}" if fallback else "compiling anew in each process"
        warnings.warn(f"{problem}; {instead}. Set TINYSEQ_CACHE_DIR to a folder of yours.", stacklevel=2)
    return fallback


def _make_folder(base: Path, stamp: str) -> Path:
    folder = base / f"kernels-{stamp}"
    known = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()
    os.utime(folder)  # the age that pruning goes by is that of the last use
    if not known:
        _prune(base)
    return folder


def _prune(base: Path) -> None:
    """Remove what processes that died left half-written, then the folders not used for longest."""
    aged = []
    for folder in base.iterdir():
        if _FOLDER.fullmatch(folder.name):
            try:
                aged.append((folder.stat().st_mtime, folder, _size(folder)))
            except OSError:  # another process is pruning too
                continue
    total = 0
    for _, folder, size in sorted(aged, reverse=True):
        total += size
        if total > LARGEST:
            shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes in a folder, without the files that were abandoned, which go."""
    total = 0
    for entry in os.scandir(folder):
        status = entry.stat()
        if entry.name.endswith(".tmp") and status.st_mtime < time.time() - ABANDONED:
            Path(entry.path).unlink(missing_ok=True)
        else:
            total += status.st_size
    return total


def _user_cache() -> str:
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "tinyseq")


def _private_temporary_folder() -> Path:
    """Entries are pickles, so a folder that others can write to would let them run code in this process."""
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"tinyseq-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if hasattr(os, "getuid") and (folder.is_symlink() or status.st_uid != owner or status.st_mode & 0o077):
        raise PermissionError(f"{folder} belongs to or is open to somebody else")
    return folder


def _write_atomically(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
