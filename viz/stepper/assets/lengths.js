// A sequence that the reader has shortened: what comes after its end is no part of the walk, the strip, the ledgers and
// the memory curve. What is read of the last state, by a loss or by another net, is the last state that is left, a net
// that goes backwards begins there, an average is over the steps that are left, and longer sequences end there.

// What a run was before it was shortened.
const original_of = (run) => (run.original ??= {
  source: run.source.slice(), forward: run.forward, backward: run.backward, tracks: run.tracks, ledgers: run.ledgers, loss_steps: run.loss_steps, live: run.live, peak: run.peak, leaving: run.leaving, returning: run.returning,
});

// The nodes that do the same in other steps: step → node, for each node the same map. One of them may have a name of its
// own, and where lengths differ later ones have fewer rows.
function peers_of(run) {
  if (run.peers) return run.peers;
  const by_key = new Map(), counts = new Map(), alike = new Map();
  const kinds = run.kinds.map(({ op, cell, attrs, dtype, line, shape }) => JSON.stringify([op, cell, attrs, dtype, line, shape.length])).map((text, id) => alike.get(text) ?? alike.set(text, id).get(text));
  run.peers = Array.from({ length: run.n }, (_, n) => {
    if (!run.outer.timed[n]) return null;
    const kind = kinds[run.kind[n]], here = `${kind}|${run.position[n]}`, rank = counts.get(here) ?? 0, key = `${kind}|${rank}`;
    counts.set(here, rank + 1);
    if (!by_key.has(key)) by_key.set(key, new Map());
    by_key.get(key).set(run.position[n], n);
    return by_key.get(key);
  });
  return run.peers;
}

// What is read of the steps from outside of them, with numbers: [[reader's arrow, node], …].
function reads_outside(run) {
  const { after, timed } = run.outer, found = [];
  for (let n = 0; n <= run.loss; n++) {
    if (after[n]) for (const e of run.edges(n)) if (timed[run.source[e]] && is_number(run, run.source[e])) found.push([e, run.source[e]]);
  }
  return found;
}

// Arrows along which the loss reads the last step of something, and reads nothing of its other steps: a final state.
function endings_of(run) {
  const peers = peers_of(run), reads = reads_outside(run), outside = Array.from({ length: run.loss + 1 }, (_, n) => n).filter((n) => run.outer.after[n]);
  const nodes = [...new Set(reads.map(([, x]) => x))];
  const ends = new Set(nodes.filter((x) => {
    if (run.position[x] !== run.spans.get(run.of_kind(x).cell).total - 1) return false;
    const others = new Set(nodes.filter((y) => y !== x && peers[y] === peers[x]));
    return !others.size || !Number.isNaN(traced(run, outside, nodes, (y) => others.has(y))[run.loss][0]);
  }));
  return reads.filter(([, x]) => ends.has(x));
}

// {endings, shortest: the fewest steps that make the same loss, refused: why there is no other length than the given}: of
// the sequence that the losses are of.
function shortening_of(run) {
  return (run.shortening ??= found_shortening(run));
}

function found_shortening(run) {
  const { steps, parts } = features_of(run), refused = (why) => ({ endings: [], shortest: run.total, refused: why });
  if (run.structure !== "chain" || run.total < 2) return refused("no sequence");
  if (!run.outer.after[run.loss]) return refused("the loss is in a step");
  const [{ refused: why, total, shortest: least }] = sequences_of(run).list;
  if (why) return refused(why);
  const endings = endings_of(run), ends = new Set(endings.map(([, x]) => x)), peers = peers_of(run);
  if ([...ends].some((x) => peers[x].size < run.spans.get(run.of_kind(x).cell).total)) return refused("its steps are not alike");
  if (run.directions.reversed && !begins_anywhere(run)) return refused("states go backwards in time, and would start elsewhere");
  if (reads_both_ways(run)) return refused("each sequence is also read backwards, from an end of its own");
  const inner = reads_outside(run).filter(([e, x]) => !ends.has(x) && !only_ends(run, run.reader[e])).map(([, x]) => run.position[x]);
  if (!parts) { // what is read of steps within the sequence has to stay
    const shortest = Math.max(least, 1 + Math.max(0, ...inner));
    return shortest < total ? { endings, shortest, refused: "" } : refused("the loss is no sum over the steps");
  }
  if (parts.averages.some(([, own]) => own.includes(-2))) return refused("the loss averages sums of several steps");
  const at_ends = !inner.length || (ends.size && steps[0] === total - 1);
  return { endings, shortest: Math.max(least, at_ends ? 1 : Math.min(steps[0] + 1, total)), refused: "" };
}

// Whether what a node joins is read for the last states of sequences alone.
function only_ends(run, n) {
  return run.consumers[n].length > 0 && run.consumers[n].every((m) => row_ends(run).has(m));
}

// Whether one unfolding reads a number of the data at another step than the other does: sequences of different lengths,
// each of them turned around.
function reads_both_ways(run) {
  const at = new Map();
  for (let n = 0; n < run.n; n++) {
    if (run.outer.timed[n]) for (const x of inputs_of(run, n)) {
      const origin = run.outer.timed[x] || run.is_leaf(x) || !is_number(run, x) ? null : origin_of(run, x);
      if (!origin || run.of_kind(origin.leaf).op !== "input") continue;
      for (const place of origin.places) {
        const key = `${origin.leaf}|${place}`;
        if ((at.get(key) ?? run.position[n]) !== run.position[n]) return true;
        at.set(key, run.position[n]);
      }
    }
  }
  return false;
}

// What stands in a step's arrow from a later step, for the step that comes first backwards in time; null where nothing does.
function first_backwards(run, n, e) {
  const star = peers_of(run)[n]?.get(run.spans.get(run.of_kind(n).cell).total - 1), place = run.place[e];
  const found = star === undefined ? undefined : run.edges(star).find((f) => run.place[f] === place);
  return found === undefined || run.in_time(star, run.source[found]) ? null : run.source[found];
}

function begins_anywhere(run) {
  for (let n = 0; n < run.n; n++) {
    for (const e of run.edges(n)) {
      const x = run.source[e];
      if (run.in_time(n, x) && run.position[x] > run.position[n] && (run.position[x] !== run.position[n] + 1 || first_backwards(run, n, e) === null)) return false;
    }
  }
  return true;
}

// The lengths that a run has been given, null where it has its own.
function shape_key(run) {
  return run.length !== null || run.others.size ? `${run.length}|${[...run.others].join("|")}` : null;
}

// Whether a node is after the end: those outside of the steps stay, whatever step they are of.
const is_late = (run, n) => Boolean(run.late?.[n]);

// The nodes of steps after the end, and what they alone read.
function late_nodes(run) {
  const { timed, after } = run.outer, late = new Uint8Array(run.n), needed = new Uint8Array(run.n), ends = new Map([...run.spans.keys()].map((cell) => [cell, steps_of(run, cell)]));
  for (let n = run.n - 1; n >= 0; n--) {
    if (timed[n]) late[n] = Number(run.position[n] >= ends.get(run.of_kind(n).cell));
    else late[n] = Number(run.position[n] >= 0 && !after[n] && !needed[n]);
    if (!late[n]) for (const x of inputs_of(run, n)) needed[x] = 1;
  }
  return late;
}

// What the loss does not come from any more, as a memory that only a later step would have read, is left out too.
function leave_out_unread(run) {
  const read = new Uint8Array(run.n);
  read[run.loss] = 1;
  for (let n = run.loss; n >= 0; n--) {
    if (!read[n] && !run.is_leaf(n)) run.late[n] = 1;
    if (!run.late[n]) for (const x of inputs_of(run, n)) read[x] = 1;
  }
}

// Make a run the shortened one, or the given one again.
function reshape(run) {
  const { endings } = shortening_of(run), original = original_of(run), whole = shape_key(run) === null, total = Math.max(...[...run.spans.keys()].map((cell) => steps_of(run, cell)));
  const here = run === run_now() ? [run.phase(state.k), run.node_at(state.k), state.k === run.end] : null;
  run.shaped = shape_key(run);
  run.source.set(original.source);
  run.late = whole ? null : late_nodes(run);
  const rewired = whole ? [] : [...rewire_ends(run, [...endings, ...sequences_of(run).contexts]), ...rewire_starts(run)];
  for (const [e, x] of rewired) run.source[e] = x;
  if (!whole) leave_out_unread(run);
  run.rewired = rewired.map(([e]) => e);
  for (let n = 0; n < run.n; n++) run.made.nodes[n].inputs = inputs_of(run, n);
  const kept = (n) => !is_late(run, n);
  Object.assign(run, { total: whole ? run.given_total : total, forward: original.forward.filter(kept), backward: original.backward.filter(kept) });
  run.tracks = original.tracks.map((track) => part_of_track(run, track));
  run.ledgers = original.ledgers.map((ledger) => part_of_ledger(run, ledger));
  run.moments();
  const reads = (n) => run.consumers[n].filter(kept).length;
  Object.assign(run, whole ? { leaving: original.leaving, returning: original.returning } : { leaving: original.leaving.map((_, n) => reads(n)), returning: original.returning.map((_, n) => run.readers[n].length) });
  for (let n = 0; n < run.n; n++) if (is_late(run, n) && !run.is_leaf(n)) run.computed[n] = NEVER;
  for (const ledger of run.ledgers) ledger.event = ledger.event.map((_, row) => Math.max(...uses_of_row(ledger, row).map(([n]) => run.walked[n])));
  run.parts = whole ? undefined : separated(run);
  run.gains = whole ? null : gains_of(run);
  run.loss_steps = whole ? original.loss_steps : [...new Set(run.parts?.steps ?? reads_outside(run).map(([, x]) => run.position[x]))].filter((t) => t < (run.length ?? Infinity)).map((t) => [t, t + 1]);
  [run.live, run.peak] = whole ? [original.live, original.peak] : live_bytes(run);
  if (here) state.k = moment_again(run, here);
}

// Arrows that read a last state, where it is another now.
function rewire_ends(run, arrows) {
  return arrows.map(([e, x]) => [e, peers_of(run)[x].get(steps_of(run, run.of_kind(x).cell) - 1)]);
}

function rewire_starts(run) {
  const found = [];
  for (let n = 0; n < run.n; n++) {
    if (is_late(run, n)) continue;
    for (const e of run.edges(n)) if (run.in_time(n, run.source[e]) && is_late(run, run.source[e])) found.push([e, first_backwards(run, n, e)]);
  }
  return found;
}

function part_of_track(run, track) {
  const kept = Array.from(track.step, (_, i) => i).filter((i) => !is_late(run, track.node[i])), pick = (of) => of.constructor.from(kept, (i) => of[i]);
  return kept.length === track.step.length ? track : { ...track, step: pick(track.step), node: pick(track.node) };
}

function uses_of_row(ledger, row) {
  let at = 0;
  for (let i = 0; i < row; i++) at += ledger.count[i];
  return Array.from({ length: ledger.count[row] }, (_, i) => [ledger.uses[2 * (at + i)], ledger.uses[2 * (at + i) + 1]]);
}

function part_of_ledger(run, ledger) {
  const rows = Array.from(ledger.step, (_, i) => i).filter((i) => !uses_of_row(ledger, i).every(([n]) => is_late(run, n))), pick = (of) => of.constructor.from(rows, (i) => of[i]);
  return { ...ledger, step: pick(ledger.step), event: pick(ledger.event), rows: rows.map((i) => ledger.rows[i]), count: pick(ledger.count), uses: Int32Array.from(rows.flatMap((i) => uses_of_row(ledger, i).flat())) };
}

// For each average over steps, by how much a number of it grows when it is over those that are left.
function gains_of(run) {
  const { length } = run;
  return length === null ? null : new Map((run.parts?.averages ?? []).map(([n, steps]) => {
    const averaged = (keep) => {
      const y = run.made.zeros(n);
      OPS[run.of_kind(n).op].forward(y, [Float64Array.from(steps, keep)], run.made.sites[n]);
      return y;
    };
    return [n, averaged((t) => Number(t < length)).map((share) => (share ? 1 / share : 0))];
  }));
}

// The same moment of the walk after its ends have moved.
function moment_again(run, [phase, n, at_end]) {
  if (at_end) return run.end;
  if (phase === "start") return 0;
  if (phase === "forward") return Math.min(run.computed[n], run.F);
  if (phase === "backward") return run.walked[n] < 0 ? run.F + 1 : run.walked[n];
  return run.F + run.B + 1 + Math.max(run.ledgers.findIndex((ledger) => ledger.leaf === n), 0);
}

// Bytes held after each event, and the most of them, as tinyseq counts them: a value from its op until the last that
// reads it, forward or backward; a gradient from its first part until the backward step of its node.
function live_bytes(run) {
  const change = new Float64Array(run.F + run.B + 2), last = run.computed.slice(), until = (n, at) => { last[n] = Math.max(last[n], at); };
  const bytes = (n) => size_of(run.shape(n)) * (run.of_kind(n).dtype === "float32" ? 4 : 8);
  for (const n of run.forward) {
    const { reads = {}, joins } = OPS[run.of_kind(n).op], inputs = inputs_of(run, n);
    for (const e of run.edges(n)) {
      until(run.source[e], run.computed[n]);
      if (run.walked[n] < 0 || !run.form[e] || joins) continue;
      for (const role of reads[run.place[e]] ?? []) until(role === "y" ? n : inputs[Number(role.slice(1))], run.walked[n]);
    }
  }
  for (const n of run.forward) {
    change[run.computed[n]] += bytes(n);
    change[last[n] + 1] -= bytes(n);
  }
  for (let n = 0; n < run.n; n++) {
    if (run.begun[n] < 0) continue;
    change[run.begun[n]] += bytes(n);
    if (run.walked[n] >= 0) change[run.walked[n] + 1] -= bytes(n);
  }
  let sum = 0;
  const live = change.subarray(0, run.F + run.B + 1).map((c) => (sum += c));
  return [live, live.reduce((a, b) => Math.max(a, b), 0)];
}

// Of sequences that are longer than the end the last state is that at the end.
function cut_rows(run) {
  for (const { cell, index, at, place, starts } of row_ends(run).values()) {
    const last = steps_of(run, cell) - 1;
    if (at.some((t) => t > last)) run.put(index, Array.from(run.values[index], (row, i) => (at[i] > last ? starts[last] + place[i] : row)));
  }
}

Object.assign(ACTIONS, {
  T: (run, [length]) => { run.length = length >= sequences_of(run).list[0].total ? null : length; resized(run); },
  S: (run, [number, length]) => {
    run.others.delete(number);
    if (length < sequences_of(run).list[number].total) run.others.set(number, length);
    resized(run);
  },
});
Object.assign(SAME, { T: 0, S: 1 });
const may_have = (length, { shortest, total }) => Number.isInteger(length) && length >= shortest && length <= total;
Object.assign(FITS, {
  T: (run, [length]) => !shortening_of(run).refused && may_have(length, { ...sequences_of(run).list[0], shortest: shortening_of(run).shortest }),
  S: (run, [number, length]) => run.structure === "chain" && number > 0 && !(sequences_of(run).list[number]?.refused ?? "no such sequence") && may_have(length, sequences_of(run).list[number]),
});

function resized(run) {
  for (const { index } of row_ends(run).values()) run.values[index].set(run.given[index]);
  cut_rows(run);
  for (const { masks, cells, total } of sequences_of(run).list) {
    for (const n of masks) {
      run.values[n].set(run.given[n]);
      shut_out(run.values[n], total, steps_of(run, cells[0]));
    }
  }
  recount(run);
}

// A slider for each sequence, or why it has none.
function length_knobs(run) {
  const { refused, shortest } = shortening_of(run);
  if (refused === "no sequence") return [];
  const { list } = sequences_of(run), name = ({ cells }) => (list.length > 1 ? `steps of ${cells[0]}` : "sequence length T");
  const main = length_knob(run, "", name(list[0]), { ...list[0], shortest, refused }, run.length, (v) => act(["T", v]));
  return [main, ...list.slice(1).map((each, i) => length_knob(run, `-${i + 1}`, name(each), each, run.others.get(i + 1) ?? null, (v) => act(["S", i + 1, v])))].filter(Boolean);
}

function length_knob(run, mark, name, { shortest, total, refused }, length, turn) {
  if (!refused && shortest >= total) return null;
  if (!refused) return knob(`knob-length${mark}`, [name], { min: shortest, max: total, step: 1, value: length ?? total, words: `${length ?? total} of ${total}` }, turn);
  const note = $(`length-note${mark}`) ?? element("span", { class: "note", id: `length-note${mark}` });
  note.textContent = `${name.replace(" T", "")}: fixed here, ${refused}`;
  return note;
}

// Nodes after the end are faint; what is read in their place has an arrow of its own.
function draw_length(run, drawing) {
  const late = (v) => run.vertexNode[v] >= 0 && is_late(run, run.vertexNode[v]);
  drawing.vertices.forEach((g, v) => g.classList.toggle("after-end", late(v)));
  drawing.links.forEach((g, e) => g.classList.toggle("after-end", run.view.ends[e].some(late)));
  const key = `${run.shaped}`;
  if ((drawing.length ?? "null") === key) return;
  drawing.length = key;
  drawing.svg.querySelectorAll(".rewired").forEach((path) => path.remove());
  const pairs = new Map(run.rewired.map((e) => [`${run.source[e]}>${run.reader[e]}`, e]));
  for (const e of pairs.values()) drawing.vertices[0].before(...new_arrow(run, drawing, e));
}

// An arrow for what an arrow of the net now reads, where both ends are drawn.
function new_arrow(run, drawing, e) {
  const shown = (n) => (run.owner[n] >= 0 ? run.owner[n] : (run.consumers[n].length ? shown(run.consumers[n][0]) : -1)), a = run.owner[run.source[e]], b = shown(run.reader[e]);
  if (a < 0 || b < 0 || a === b) return [];
  const [from, to] = [a, b].map((v) => drawing.vertices[v].querySelector(".s").getBBox()), middle_ = (box) => [box.x + box.width / 2, box.y + box.height / 2];
  const [[x0, y0], [x1, y1]] = [middle_(from), middle_(to)], far = Math.hypot(x1 - x0, y1 - y0) || 1, short = to.width / 2 + 3;
  return [drawn("path", { class: "rewired", d: `M${x0},${y0}L${x1 - ((x1 - x0) * short) / far},${y1 - ((y1 - y0) * short) / far}` })];
}

PARTS.push({ open: { live_bytes } });
