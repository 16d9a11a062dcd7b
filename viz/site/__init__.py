"""The site: one folder of static pages, made from live code: ``build(folder)``."""

from __future__ import annotations

from tinyseq.viz.site.build import build

__all__ = ["build"]
