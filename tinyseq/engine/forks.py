"""Forked processes: what a child does with locks that threads of its parent held.

A child has one thread. Others may have held locks when it was made, and would never let go of them in it; what they
were writing stays as an exception at that moment would have left it. So whoever owns such a lock is made to rest on
nothing half written, registers here, and begins anew in a child.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Owner(Protocol):
    """Something with locks or threads of its own."""

    def after_fork(self) -> None:
        """Begin anew in a forked process: locks free, threads gone, half-written states void."""


owned: WeakSet[Owner] = WeakSet()


class Guard:
    """A lock that is free again in a forked process: ``with guard.lock: ...``."""

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.after_fork()
        owned.add(self)

    def after_fork(self) -> None:
        """In a forked process nobody holds it."""
        self.lock = threading.RLock()


def after_fork() -> None:
    """Let every owner begin anew."""
    for owner in list(owned):
        owner.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)
