// Which losses count, and over how many steps the net is unfolded: the loss is then the sum of what those steps give it.
// From the loss downwards stand ops that are linear; what they add up, each number of it, is of one step or of none.

// Whether a node outside of the steps is linear in what comes from them.
function is_linear(run, n) {
  const { op, attrs } = run.of_kind(n), of_steps = inputs_of(run, n).map((x) => run.outer.after[x] || run.outer.timed[x]);
  if (op === "mul") return of_steps[0] !== of_steps[1];
  if (op === "div") return !of_steps[1];
  if (op === "affine") return attrs.c === 0;
  return ["add", "sub", "neg", "sum", "mean", "expand"].includes(op) || Boolean(OPS[op].arranges);
}

const is_number = (run, n) => run.of_kind(n).dtype !== "int64";

// {linear, owners: node → step of each of its numbers (-1: none), averages: [[node, steps of what it averages], …], steps:
// those that the loss is of}; null where a number comes from several steps, so that the loss is no sum over them.
function separated(run) {
  const { after, timed } = run.outer, linear = new Uint8Array(run.n), reached = new Uint8Array(run.n), owners = new Map();
  if (!after[run.loss]) return null;
  reached[run.loss] = 1;
  for (let n = run.loss; n >= 0; n--) {
    if (!reached[n] || !after[n]) continue;
    if (!is_linear(run, n)) owners.set(n, null);
    else {
      linear[n] = 1;
      for (const x of inputs_of(run, n)) reached[x] = 1;
    }
  }
  const outside = Array.from({ length: run.loss + 1 }, (_, n) => n).filter((n) => after[n]);
  const read = [...new Set(outside.flatMap((n) => inputs_of(run, n)))].filter((x) => timed[x] && is_number(run, x));
  const steps = [...new Set(read.map((x) => run.position[x]))].sort((a, b) => a - b), own_of = owners_by_bits(run, outside, read, steps);
  for (const n of owners.keys()) {
    const own = own_of(n);
    if (own.includes(-2)) return null;
    owners.set(n, own);
  }
  const averages = outside.filter((n) => linear[n] && run.of_kind(n).op === "mean").map((n) => [n, own_of(inputs_of(run, n)[0])]).filter(([, own]) => own.some((t) => t !== own[0]));
  const reaching = steps.filter((t) => Number.isNaN(traced(run, outside, read, (x) => run.position[x] === t)[run.loss][0]));
  return { linear, owners, averages, steps: reaching };
}

// Which step each number of a node is of (-1: of none, -2: of several), from as many traces as a step's number has bits.
function owners_by_bits(run, outside, read, steps, step_of = (x) => run.position[x]) {
  const at = new Map(steps.map((t, i) => [t, i])), bits = Math.max(1, Math.ceil(Math.log2(steps.length)));
  const found = [0, 1].map((bit) => Array.from({ length: bits }, (_, b) => traced(run, outside, read, (x) => ((at.get(step_of(x)) >> b) & 1) === bit)));
  return (n) => Int32Array.from({ length: run.values[n].length }, (_, i) => {
    const [zeros, ones] = found.map((side) => side.map((values) => values[n][i] !== values[n][i]));
    if (ones.some((one, b) => one && zeros[b])) return -2;
    return ones.some(Boolean) || zeros.some(Boolean) ? steps[ones.reduce((sum, one, b) => sum + (one << b), 0)] : -1;
  });
}

// Values of the nodes outside of the steps, NaN standing for what comes from some of the steps.
function traced(run, outside, read, marks) {
  const values = run.values.slice(), { executor } = run;
  for (const x of read) values[x] = values[x].map((v) => (marks(x) ? NaN : v === v ? v : 1));
  for (const n of outside) {
    values[n] = executor.zeros(n);
    OPS[run.of_kind(n).op].forward(values[n], run.executor.nodes[n].inputs.map((x) => values[x]), executor.sites[n]);
  }
  return values;
}

// Which losses count, by the reader's choice and the length of the sequence; null: all of them.
function recount(run) {
  const { mode = 0, s = 0 } = run.choice ?? {}, length = run.length ?? Infinity;
  if (!mode && run.length === null) {
    run.counts = null;
    return;
  }
  const last = () => Math.max(...(parts_of(run)?.steps ?? []).filter((t) => t < length));
  const chosen = [() => true, (t) => t === last(), (t) => t === s, (t) => t <= s][mode];
  run.counts = (t) => t < length && chosen(t);
}

const parts_of = (run) => (run.shaped === null ? features_of(run).parts : run.parts);

// Whether a node adds up something of a step that does not count: it reads zeros there.
function reads_nothing(run, n, x) {
  const parts = run.counts && parts_of(run);
  return Boolean(parts) && Boolean(parts.linear[n]) && run.outer.timed[x] && is_number(run, x) && !run.counts(run.position[x]);
}

// For each number of a node whether it counts; null where all do.
function kept_numbers(run, n) {
  const own = run.counts && parts_of(run)?.owners.get(n);
  return own && own.some((t) => t >= 0 && !run.counts(t)) ? Array.from(own, (t) => t < 0 || run.counts(t)) : null;
}

Object.assign(ACTIONS, {
  l: (run, [mode, s]) => { run.choice = { mode, s }; recount(run); },
});
Object.assign(SAME, { l: 0 });
Object.assign(FITS, {
  l: (run, [mode]) => [0, 1, 2, 3].includes(mode) && features_of(run).steps.length > 1,
});

PARTS.push({
  draw(run) {
    if (run.computes) draw_length(run, scene(state.run).main);
  },
  restart(run) {
    run.choice = run.length = run.counts = null;
    run.others = new Map(); // steps of other sequences than that of the losses, where they are fewer
  },
});
for (const run of runs) if (run.computes) PARTS[PARTS.length - 1].restart(run);
