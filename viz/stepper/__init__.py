"""The stepper: one offline HTML file in which a run of forward, backward and update is walked node by node."""

from tinyseq.viz.stepper.page import step_page, to_html

__all__ = ["step_page", "to_html"]
