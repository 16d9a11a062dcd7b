// The sequences of a run: unfoldings whose steps go together. Layers over one sequence make one of them; an encoder and
// the decoder that reads its last state are two, each with a length of its own.

// {list: [{cells, total, shortest, refused, masks}, …], of: cell → number, contexts: [[arrow, node that it reads], …]}: of
// each sequence the fewest steps that it may have by what others read of it, why it has no other length, and the data
// that shut out steps of it; the arrows along which one unfolding reads the last step of another. The losses are of the
// first.
function sequences_of(run) {
  return (run.sequences ??= found_sequences(run));
}

function found_sequences(run) {
  const cells = [...run.spans.keys()], group = new Map(cells.map((cell) => [cell, cell])), links = links_of(run);
  const root = (cell) => (group.get(cell) === cell ? cell : root(group.get(cell))), join = (a, b) => group.set(root(b), root(a));
  const pairs = cells.flatMap((a) => cells.filter((b) => b !== a).map((b) => [a, b])), of_pair = ([a, b]) => links.filter((l) => l.from === a && l.to === b);
  for (const [a, b] of pairs) {
    const [one, other] = [run.spans.get(a), run.spans.get(b)], found = of_pair([a, b]);
    if (one.first < other.first && other.first < one.last) join(a, b);
    else if (aligned(found, one.total - 1, Math.min(one.total, other.total))) join(a, b);
  }
  const read = cells.filter((cell) => run.outer.timed.some((timed, n) => timed && run.of_kind(n).cell === cell && run.consumers[n].some((m) => run.outer.after[m])));
  for (const cell of read) join(read[0], cell); // the loss is of all that it reads
  const reads = (a, b) => links.some((l) => root(l.to) === root(a) && (root(l.from) === root(b) || (root(l.from) !== root(a) && reads(l.from, b))));
  for (const [a, b] of pairs) if (run.spans.get(a).total === run.spans.get(b).total && !reads(a, b) && !reads(b, a)) join(a, b);
  const first = root(read[0] ?? cells[0]), roots = [first, ...new Set(cells.map(root).filter((cell) => cell !== first))];
  const list = roots.map((r) => ({ cells: cells.filter((cell) => root(cell) === r), refused: "", shortest: 1, masks: [] }));
  for (const each of list) each.total = Math.max(...each.cells.map((cell) => run.spans.get(cell).total));
  const of = new Map(list.flatMap((each, number) => each.cells.map((cell) => [cell, number]))), contexts = [];
  for (const link of links) take_link(run, link, list[of.get(link.from)], of, contexts);
  for (const [, x] of contexts) {
    const { cell } = run.of_kind(x);
    if (peers_of(run)[x].size < run.spans.get(cell).total) list[of.get(cell)].refused ||= "its steps are not alike";
  }
  for (const each of list) if (each.refused) Object.assign(each, masked_length(run, each));
  return { list, of, contexts };
}

// Attention reads all steps of a sequence that its mask lets through: with zeros there it reads fewer. Whether a mask does
// so is tried: other values of the last step have to leave the loss as it is.
function masked_length(run, { cells, total }) {
  const masks = leaves_of(run).filter((n) => run.of_kind(n).op === "input" && run.shape(n).length === 2 && run.shape(n)[1] === total && is_number(run, n) && run.given[n].every((v) => v === 0 || v === 1));
  if (!masks.length) return {};
  const [one, other] = [(v) => v, (v) => 2 * v + 1].map((turned) => {
    const values = run.start.values.map((numbers) => numbers.slice()), inside = (n) => run.outer.timed[n] && cells.includes(run.of_kind(n).cell);
    for (const n of masks) shut_out(values[n], total, total - 1);
    for (let n = 0; n < run.n; n++) if (inside(n) && run.position[n] === total - 1) values[n] = values[n].map(turned);
    new Executor(run.nodes, values).forward(inside);
    return values[run.loss][0];
  });
  return Object.is(one, other) ? { masks, shortest: 1, refused: "" } : {};
}

const shut_out = (mask, total, steps) => mask.forEach((_, i) => { if (i % total >= steps) mask[i] = 0; });

// Whether each step of an unfolding reads that step of another, and perhaps its last.
function aligned(links, last, steps) {
  const within = links.filter((l) => l.step !== last);
  return within.every((l) => l.step === l.at) && new Set(links.filter((l) => l.step === l.at).map((l) => l.at)).size > Number(steps > 1);
}

// What one reading of an unfolding by another says of the lengths that it may have.
function take_link(run, { from, to, step, at, arrows }, sequence, of, contexts) {
  const { total } = run.spans.get(from), together = of.get(from) === of.get(to);
  if (step === -2) sequence.refused ||= `${to} reads several steps of ${from} at once`;
  else if (together && step === at) return;
  else if (step < total - 1) sequence.shortest = Math.max(sequence.shortest, step + 1);
  else if (arrows === null) sequence.refused ||= `${to} reads several steps of ${from} at once`;
  else contexts.push(...arrows);
}

// All that one unfolding reads of another: {from, to: cells, step that is read (-2: several in one number), at: step that
// reads, arrows: those that would read an earlier step where the last is another; null: there are none such}.
function links_of(run) {
  const { timed, reads } = run.outer, found = [], ports = new Map();
  const feeds = reads.map((_, x) => false);
  for (let n = run.n - 1; n >= 0; n--) if (timed[n] || feeds[n]) for (const x of inputs_of(run, n)) if (!timed[x] && reads[x]) feeds[x] = true;
  const between = Array.from(feeds, (yes, n) => (yes ? n : -1)).filter((n) => n >= 0);
  for (let n = 0; n < run.n; n++) {
    if (!timed[n]) continue;
    for (const e of run.edges(n)) {
      const x = run.source[e], [a, b] = [run.of_kind(x).cell, run.of_kind(n).cell];
      if (feeds[x]) ports.set(x, [...(ports.get(x) ?? []), n]);
      else if (timed[x] && a !== b && run.spans.get(a).last < run.spans.get(b).first) found.push({ from: a, to: b, step: run.position[x], at: run.position[n], arrows: [[e, x]] });
    }
  }
  for (const cell of between.length ? run.spans.keys() : []) found.push(...links_by_ports(run, cell, between, ports));
  return found;
}

// What is read of one unfolding through nodes that stand between it and the next.
function links_by_ports(run, cell, between, ports) {
  const { total } = run.spans.get(cell), ends = row_ends(run), outside = between.filter((n) => !ends.has(n)), last = (x) => ends.has(x) || run.position[x] === total - 1;
  const read = [...new Set(outside.flatMap((n) => inputs_of(run, n)).concat(between))].filter((x) => (ends.has(x) ? ends.get(x).cell === cell : run.outer.timed[x] && run.of_kind(x).cell === cell));
  if (!read.length) return [];
  const step_of = (x) => (last(x) ? total - 1 : run.position[x]), steps = [...new Set(read.map(step_of))].sort((a, b) => a - b), found = [];
  const own_of = owners_by_bits(run, outside, read, steps, step_of), wholly = new Map(read.filter(last).map((x) => [x, arrows_of_end(run, x, outside, read)]));
  for (const [port, readers] of ports) {
    const own = new Set(ends.has(port) ? (ends.get(port).cell === cell ? [total - 1] : []) : own_of(port));
    for (const step of own) {
      if (step === -1) continue;
      const arrows = step === total - 1 ? arrows_into(run, port, wholly, own.size - own.has(-1) > 1) : [];
      for (const n of readers) if (run.of_kind(n).cell !== cell) found.push({ from: cell, to: run.of_kind(n).cell, step, at: run.position[n], arrows });
    }
  }
  return found;
}

// For a last state: the arrows by which nodes between read it, and the nodes that read others of its kind.
function arrows_of_end(run, x, outside, read) {
  const peers = peers_of(run)[x], others = new Set(read.filter((y) => y !== x && peers && peers_of(run)[y] === peers)), between = new Set(outside);
  const values = others.size ? traced(run, outside, read, (y) => others.has(y)) : null;
  const arrows = row_ends(run).has(x) ? [] : run.consumers[x].filter((n) => between.has(n)).flatMap((n) => run.edges(n).filter((e) => run.source[e] === x).map((e) => [e, x]));
  return { arrows, mixed: (n) => values !== null && values[n].some((v) => v !== v) };
}

// The arrows that bring last states to a port; null where it holds other steps of them too.
function arrows_into(run, port, ends, several) {
  const above = new Set([port]);
  for (let n = port; n >= 0; n--) if (above.has(n) && !run.outer.timed[n]) for (const x of inputs_of(run, n)) above.add(x);
  const mine = [...ends].filter(([x]) => above.has(x)).map(([, end]) => end);
  if (several && mine.some((end) => end.mixed(port))) return null;
  return mine.flatMap((end) => end.arrows).filter(([e]) => above.has(run.reader[e]));
}

// Where sequences have lengths of their own, their last states are rows that a list names among those of all steps:
// node that takes them → {cell, index: the list, at: step of each row, in: row in its step, starts: first row of each step}.
function row_ends(run) {
  if (run.row_ends) return run.row_ends;
  run.row_ends = new Map();
  for (let n = 0; n < run.n; n++) {
    const [table, index] = inputs_of(run, n);
    if (run.of_kind(n).op !== "take" || run.outer.timed[n] || !run.is_leaf(index) || run.of_kind(table).op !== "concatenate") continue;
    const found = ends_among(run, inputs_of(run, table), run.given[index]);
    if (found) run.row_ends.set(n, { ...found, index });
  }
  return run.row_ends;
}

function ends_among(run, parts, rows) {
  const steps = parts.filter((x) => run.outer.timed[x]), height = (x) => run.shape(x)[0], starts = [];
  if (!steps.length || steps.some((x, t) => run.position[x] !== t || run.of_kind(x).cell !== run.of_kind(steps[0]).cell)) return null;
  if (steps.some((x, t) => t > 0 && height(x) > height(steps[t - 1]))) return null;
  let first = parts.filter((x) => !run.outer.timed[x]).reduce((sum, x) => sum + height(x), 0);
  if (parts.findIndex((x) => run.outer.timed[x]) !== parts.length - steps.length) return null;
  for (const x of steps) {
    starts.push(first);
    first += height(x);
  }
  const at = Array.from(rows, (row) => starts.findLastIndex((start) => start <= row)), place = Array.from(rows, (row, i) => row - (starts[at[i]] ?? 0));
  const is_end = (t, i) => t < 0 || t === steps.length - 1 || place[i] >= height(steps[t + 1]);
  return at.every(is_end) && at.some((t) => t >= 0) ? { cell: run.of_kind(steps[0]).cell, at, place, starts } : null;
}

// Whether a leaf is such a list: it says how the graph is made, and is no number of the user's.
const is_list_of_rows = (run, n) => run.structure === "chain" && [...row_ends(run).values()].some(({ index }) => index === n);

// How many steps an unfolding has now.
function steps_of(run, cell) {
  const number = sequences_of(run).of.get(cell), { total } = run.spans.get(cell);
  return Math.min(total, (number ? run.others.get(number) : run.length) ?? total);
}
