// In a cell of a notebook: what the reader changes is told to the frame's owner, who hands it to Python.
PARTS.push({
  draw(run) {
    if (!run.computes || parent === window) return;
    const key = `${state.run}|${run.version}`;
    if (this.told === key) return;
    this.told = key;
    const leaves = leaves_of(run).filter((n) => run.value_changed(n));
    parent.postMessage({ tinyseq: { run: state.run, loss: run.values[run.loss][0], changes: leaves.map((n) => [run.index[n], Array.from(run.values[n], (v) => (Number.isFinite(v) ? v : String(v)))]) } }, "*");
  },
});
