"""Commands run in a folder of their own."""

from tests.cli.conftest import run

__all__ = ["run"]
