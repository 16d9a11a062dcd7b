"""The experiments, one file for each paper or kind of task."""
