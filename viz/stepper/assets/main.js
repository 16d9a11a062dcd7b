// What follows from the state, the drawing of it, the address, and the keys.

// -- what follows from the state ----------------------------------------------------------------------------------
function masked(run) {
  if (state.mask === "full" || run.structure !== "chain") return null;
  const key = `${state.run}|${state.mask}|${state.width}|${run.version}`;
  if (gradients.key !== key) gradients = { key, mask: new Mask(run, state.mask, state.width), grads: backward(run, new Mask(run, state.mask, state.width)) };
  return gradients;
}

const wrap = (numbers) => ({ size: numbers.length, numbers, whole: true });

function gradient_of(run, n) {
  const cut = masked(run);
  if (run.begun[n] < 0 || run.begun[n] > state.k) return null;
  if (cut) return cut.grads && cut.grads[n] ? wrap(cut.grads[n]) : null;
  if (run.complete[n] <= state.k) return run.array(run.grad[n]);
  if (!run.full) return null;
  const sum = new Float64Array(size_of(run.shape(n)));
  for (const [r, e] of run.readers[n]) {
    if (run.walked[r] <= state.k && !run.blocks(r, e) && !pull(run, r, e, run.array(run.grad[r]).numbers, sum)) return null;
  }
  return wrap(sum);
}

// The norm of what has arrived of a gradient; null where nothing has, or where the page holds too little to add it up.
function gradient_norm(run, n) {
  if (run.begun[n] < 0 || run.begun[n] > state.k) return null;
  const cut = masked(run);
  if (cut) return cut.grads ? (cut.grads[n] ? norm(cut.grads[n]) : 0) : run.grad_norm[n];
  if (run.complete[n] <= state.k) return run.grad_norm[n];
  const sum = gradient_of(run, n);
  return sum ? norm(sum.numbers) : null;
}

function default_unit(run, n) {
  const a = run.array(run.grad[n]) ?? run.array(run.value[n]);
  if (!a) return 0;
  let best = 0;
  a.numbers.forEach((v, i) => { if (Math.abs(v) > Math.abs(a.numbers[best])) best = i; });
  return best;
}

const focus = (run) => (state.pinned >= 0 && state.pinned < run.n ? state.pinned : state.k ? run.node_at(state.k) : run.forward[0]);

function view_of(run) {
  return {
    bands: run.computes && state.bands && state.bands !== "off" && state.mask === "full" ? (row) => band_bar(run, row) : null,
    cut: run.computes ? (x, n) => cut_button(run, x, n) : null,
    k: state.k, pinned: state.pinned >= 0, rate: data.rate, masked: state.mask,
    grads: (n) => gradient_of(run, n), grad_norm: (n) => gradient_norm(run, n),
    unit: (n) => (state.unit >= 0 && state.unit < (run.array(run.value[n])?.numbers.length ?? 1) ? state.unit : default_unit(run, n)),
    choose: (n, unit) => { state.unit = unit; render(); },
    release: () => { state.pinned = -1; render(); },
  };
}

// -- scenes: the drawings of a run, made when it is first shown ---------------------------------------------------
function scene(number) {
  const made = (scenes[number] ??= new_scene(number)), run = runs[number];
  if (made.version === run.version) return made;
  const norms = Array.from(run.grad_norm).filter((_, n) => run.begun[n] >= 0 && !run.is_leaf(n)), [low, high] = decades(norms);
  const positive = norms.filter((x) => Number.isFinite(x) && x > 0);
  return Object.assign(made, { version: run.version, low: positive.length ? low : 0, high, clipped: positive.some((x) => x < low), zero: norms.includes(0), bad: norms.some((x) => !Number.isFinite(x)) });
}

function new_scene(number) {
  const run = runs[number], still = number === 0 ? document.querySelector("#still .scroll > svg") : null;
  const main = pieces(still ?? parsed(run.view.svg));
  const made = { main, folded: run.view.folded ? pieces(parsed(run.view.folded)) : null, inside: [] };
  main.vertices.forEach((g, v) => {
    const n = run.vertexNode[v];
    if (n >= 0) pick(g, n);
  });
  made.by_vertex = new Map();
  run.owner.forEach((v, n) => { if (v >= 0) made.by_vertex.set(v, [...(made.by_vertex.get(v) ?? []), n]); });
  return made;
}

function pick(g, n) {
  g.classList.add("pick");
  g.addEventListener("click", () => { state.pinned = state.pinned === n ? -1 : n; state.unit = -1; render(); });
}

function opened(run, number) {
  const held = scene(state.run).inside;
  if (!held[number]) held[number] = pieces(parsed(run.inside.drawings[number].svg));
  return held[number];
}

// -- drawing the state ---------------------------------------------------------------------------------------------
function node_state(run, n) {
  const done = run.is_leaf(n) || run.computed[n] <= state.k;
  const begun = run.begun[n] >= 0 && run.begun[n] <= state.k;
  return { todo: !done, now: state.k > 0 && run.node_at(state.k) === n, part: begun && run.complete[n] > state.k, pinned: state.pinned === n, begun, changed: run.computes && run.changed(n) };
}

function fill_of(run, n) {
  if (!state.heat || !node_state(run, n).begun) return null;
  const { low, high } = scene(state.run);
  return heat_of(gradient_norm(run, n), low, high, state.log, data.heat);
}

function draw_graph(run) {
  const made = scene(state.run), box = $("graph"), folded = state.fold && made.folded, picture = folded || made.main;
  if (box.firstElementChild !== picture.svg) {
    box.replaceChildren(picture.svg);
    box.setAttribute("aria-label", folded ? "Folded graph: one step" : "Unfolded graph, scrolls sideways");
  }
  scale(run, box, picture, folded);
  const now = run.node_at(state.k), owner = now >= 0 ? run.owner[now] : -1;
  const stage = now >= 0 ? run.group[now] : -9;
  if (folded) draw_folded(run, made, owner, stage);
  else draw_unfolded(run, made, owner);
  const delays = folded ? [...made.folded.svg.querySelectorAll(".q title")].map((t) => t.textContent) : [];
  const later = delays.every((d) => d === delays[0]) ? `${delays[0]}: the arrow brings what the step before has left.` : `${[...new Set(delays)].join(", ")}: the arrow brings what so much earlier a step has left.`;
  const notes = [delays.length ? `■ ${later}` : "", run.view.fixed ? "Dashed grey arrows: fixed parameters, they are not learned." : ""].filter(Boolean);
  $("graph-note").textContent = notes.join(" ");
  $("graph-note").hidden = !notes.length;
  if (!folded && owner >= 0 && followed.graph !== `${state.run}|${state.k}`) follow(box, made.main.vertices[owner]);
  followed.graph = `${state.run}|${state.k}`;
  $("graph-title").textContent = folded ? `Folded${stage >= 0 ? `, now at t = ${stage}` : ""}` : run.structure === "chain" ? "Unfolded in time" : "Graph";
}

function draw_unfolded(run, made, owner) {
  made.main.vertices.forEach((g, v) => {
    const n = run.vertexNode[v];
    if (n < 0) return;
    const s = node_state(run, n);
    paint(g, { ...s, now: v === owner }, fill_of(run, n));
  });
  const lit = arrows_now(run), phase = run.phase(state.k), cut = masked(run);
  made.main.links.forEach((g, e) => {
    const [a, b] = run.view.ends[e];
    g.classList.toggle("lit", lit.has(`${a}>${b}`));
    g.classList.toggle("backwards", phase === "backward");
    g.classList.toggle("masked", Boolean(cut) && is_cut(run, cut.mask, a, b));
  });
}

// Arrows between drawn nodes that the current event goes along.
function arrows_now(run) {
  const n = run.node_at(state.k), found = new Set();
  if (n < 0 || run.phase(state.k) === "update") return found;
  const to = run.owner[n];
  for (const e of run.edges(n)) {
    if (run.phase(state.k) === "backward" && run.form[e] === 0) continue;
    const from = run.owner[run.source[e]] >= 0 ? run.owner[run.source[e]] : -1;
    if (from >= 0 && from !== to) found.add(`${from}>${to}`);
  }
  return found;
}

function is_cut(run, mask, a, b) {
  const x = run.vertexNode[a], n = run.vertexNode[b];
  if (x < 0 || n < 0 || run.position[x] < 0 || run.position[n] < 0) return false;
  const from = run.position[x], to = run.position[n];
  if (from === to || !mask.timed[x] || !mask.timed[n]) return false;
  if (mask.kind === "chunk") return Math.floor(from / mask.k) !== Math.floor(to / mask.k);
  const at = run.node_at(state.k), t = at >= 0 && run.position[at] >= 0 ? run.position[at] : run.total - 1;
  return Math.min(from, to) === t - mask.k;
}

function draw_folded(run, made, owner, stage) {
  const shown = new Map();
  run.view.fold.forEach((f, v) => {
    const n = run.vertexNode[v];
    if (f >= 0 && n >= 0 && (run.group[n] === stage || !shown.has(f))) shown.set(f, n);
  });
  made.folded.vertices.forEach((g, f) => {
    const n = shown.get(f);
    if (n === undefined) return paint(g, { todo: true }, null);
    paint(g, { ...node_state(run, n), now: owner >= 0 && run.view.fold[owner] === f }, fill_of(run, n));
  });
  const lit = new Set([...arrows_now(run)].map((pair) => pair.split(">").map((v) => run.view.fold[v]).join(">")));
  made.folded.links.forEach((g, e) => {
    g.classList.toggle("lit", lit.has(run.view.folded_ends[e].join(">")));
    g.classList.toggle("backwards", run.phase(state.k) === "backward");
  });
}

// Eight to twelve columns fill the box, as long as their labels can be read.
function scale(run, box, picture, folded) {
  const [width, height] = folded ? run.view.folded_size : run.view.size, room = room_of(box)[0] - 4, columns = run.view.columns;
  let factor = Math.min(1, room / width);
  if (!folded && columns.length > 8) {
    const pitch = (columns[columns.length - 1][1] - columns[0][1]) / (columns.length - 1);
    factor = Math.min(1.1, Math.max(factor, Math.max(0.62, Math.min(room / (10 * pitch), 1.1))));
  } else factor = Math.max(factor, Math.min(0.62, (3 * room) / width));
  const now = `${Math.round(width * factor)}px`;
  followed.factor = factor;
  if (picture.svg.style.width !== now) {
    picture.svg.style.width = now;
    picture.svg.style.height = `${Math.round(height * factor)}px`;
  }
}

// On paper nothing scrolls: a long chain is set in lines, as music is.
const LINE = 10, MOST_LINES = 12;

function to_paper() {
  const run = run_now(), columns = run.view.columns, box = $("paper"), { svg, vertices, links } = scene(state.run).main;
  const wrapped = !(state.fold && scene(state.run).folded) && columns.length > 1.4 * LINE;
  box.classList.toggle("on", wrapped);
  box.replaceChildren();
  if (!wrapped) return;
  const [width, height] = run.view.size, count = Math.ceil(columns.length / LINE), items = [...links, ...vertices];
  const extent = items.map((g) => { const b = g.getBBox(); return [b.x, b.x + b.width]; });
  const middle = (i) => (i <= 0 ? 0 : i >= columns.length ? width : 0.3 * columns[i - 1][1] + 0.7 * columns[i][1]); // beyond the name of the arrow between them
  for (let i = 0; i < count; i++) {
    const left_out = count > MOST_LINES && i >= MOST_LINES / 2 && i < count - MOST_LINES / 2;
    if (left_out) {
      if (i === MOST_LINES / 2) box.append(element("p", { class: "note" }, `… ${(count - MOST_LINES) * LINE} steps of the graph are not printed …`));
      continue;
    }
    const a = middle(i * LINE), b = middle((i + 1) * LINE), line = svg.cloneNode(false);
    line.setAttribute("viewBox", `${a} 0 ${b - a} ${height}`);
    line.removeAttribute("style");
    line.style.width = `${Math.round((b - a) * 0.75)}px`;
    items.forEach((g, j) => { if (extent[j][1] > a && extent[j][0] < b) line.append(g.cloneNode(true)); });
    box.append(line);
  }
}

const followed = {}; // what the boxes were last scrolled to, and how far the graph is

// Keep the current node inside the middle of its box.
function follow(box, g) {
  const at = g.getBoundingClientRect(), frame = box.getBoundingClientRect(), x = (at.left + at.right) / 2 - frame.left;
  const y = (at.top + at.bottom) / 2 - frame.top, move = {};
  if (x < frame.width * 0.18 || x > frame.width * 0.82) move.left = box.scrollLeft + x - frame.width / 2;
  if (y < 20 || y > frame.height - 20) move.top = box.scrollTop + y - frame.height / 2;
  if (Object.keys(move).length) box.scrollTo({ ...move, behavior: calm.matches || playing || Math.abs(x - frame.width / 2) > frame.width ? "auto" : "smooth" });
}

const inside_factor = (box, drawing) => Math.min(1.35, Math.max(0.5, (room_of(box)[0] - 4) / drawing.size[0]));

// What the tallest step of a run takes, with a bar to scroll by: all steps are given as much.
const tallest_inside = (run, box) => run.inside.drawings.reduce((most, drawing) => Math.max(most, Math.round(drawing.size[1] * inside_factor(box, drawing))), 60) + 16;

function draw_inside(run) {
  const n = focus(run), at = run.is_leaf(n) ? run.consumers[n].find((r) => run.part[r] >= 0) ?? run.consumers[n][0] ?? -1 : n, part = at >= 0 ? run.part[at] : -1;
  const box = $("inside");
  $("inside-title").textContent = part < 0 ? "Inside" : `Inside ${stage_text(run, at)}${run.of_kind(at).cell ? `, ${run.of_kind(at).cell}` : ""}`;
  box.style.height = `${tallest_inside(run, box)}px`;
  if (part < 0) return box.replaceChildren(element("p", { class: "note" }, at < 0 ? "What reads this node is in steps that this page does not hold." : `This page opens ${run.inside.drawings.length} sorts of steps, and this one is of another sort; the inspector shows each operation.`));
  const [number, members] = run.inside.parts[part], picture = opened(run, number), drawing = run.inside.drawings[number];
  if (box.firstElementChild !== picture.svg) {
    box.replaceChildren(picture.svg);
    const factor = inside_factor(box, drawing);
    picture.svg.style.width = `${Math.round(drawing.size[0] * factor)}px`;
    picture.svg.style.height = `${Math.round(drawing.size[1] * factor)}px`;
  }
  picture.members = members;
  picture.vertices.forEach((g, v) => {
    const m = members[v];
    if (m === undefined) return;
    paint(g, node_state(run, m), fill_of(run, m));
    if (!g.classList.contains("pick")) {
      g.classList.add("pick");
      g.addEventListener("click", () => { const i = picture.members[v]; state.pinned = state.pinned === i ? -1 : i; state.unit = -1; render(); });
    }
  });
  const now = state.k ? run.node_at(state.k) : -1, phase = run.phase(state.k);
  picture.links.forEach((g, e) => {
    g.classList.toggle("lit", members[drawing.ends[e][1]] === now && phase !== "update");
    g.classList.toggle("backwards", phase === "backward");
  });
  const current = members.indexOf(n);
  if (current >= 0 && followed.inside !== `${state.run}|${n}`) follow(box, picture.vertices[current]);
  followed.inside = `${state.run}|${n}`;
}

function draw_strip(run) {
  const track = run.tracks[Math.min(state.track, run.tracks.length - 1)], count = track.norm.length;
  const at = (i) => (count > 1 ? i / (count - 1) : 0.5), cut = masked(run);
  const series = [{ xs: Array.from(track.norm, (_, i) => at(i)), ys: track.norm, dots: true }];
  if (cut && cut.grads) series.unshift({ xs: series[0].xs, ys: Array.from(track.node, (n) => (n >= 0 && cut.grads[n] ? norm(cut.grads[n]) : 0)), dots: true });
  else if (runs.length > 1) {
    runs.forEach((other, i) => {
      const mine = other.tracks.find((t) => t.name === track.name) ?? other.tracks[0];
      if (i !== state.run && mine) series.push({ xs: Array.from(mine.norm, (_, j) => j / Math.max(mine.norm.length - 1, 1)), ys: mine.norm, kind: "other" });
    });
  }
  curves.strip ??= new Curve($("strip"));
  curves.strip.draw(`${state.run}|${state.track}|${gradients.key}|${state.mask}|${runs.map((r) => r.version)}`, series, state.log);
  const legend = cut ? (cut.grads ? [`● ${state.mask} of ${state.width}`, "┄ all of it"] : []) : runs.length > 1 ? [`● ${run.title}`, ...runs.filter((r) => r !== run).map((r) => `┄ ${r.title}`)] : [];
  if (state.log && track.norm.includes(0)) legend.push("○ exactly 0");
  if (track.norm.some((v) => !Number.isFinite(v))) legend.push("● at the top: not finite");
  $("strip-legend").textContent = legend.join("   ");
  const dots = $("strip").querySelectorAll("circle.of0");
  dots.forEach((dot, i) => {
    const n = track.node[i];
    dot.classList.toggle("waiting", !(n >= 0 && run.complete[n] >= 0 && run.complete[n] <= state.k));
  });
  const now = run.node_at(state.k), where = now < 0 ? 0 : place_on_track(run, track, now);
  curves.strip.mark(at(Math.max(where, 0)));
  shade_window(run, track, at);
  const name = track.name ? set_runs(run.of_kind(track.node.find((n) => n >= 0) ?? 0).runs) : ["node"];
  $("strip-title").replaceChildren("‖∂L/∂", ...name, "‖ over ", run.structure === "chain" ? "time" : run.structure === "tree" ? "the tree, leaves to root" : "the tape");
  const seen = track.node[where] ?? -1, known = seen >= 0 && run.complete[seen] >= 0 && run.complete[seen] <= state.k;
  $("strip-now").textContent = where < 0 || seen < 0 ? "" : `${stage_text(run, seen)}: ${known ? show(gradient_norm(run, seen)) : "not there yet"}`;
}

function place_on_track(run, track, now) {
  const exact = track.node.indexOf(now);
  if (exact >= 0 || run.structure === "bare") return exact >= 0 ? exact : nearest(track.node, now);
  if (run.position[now] < 0) return run.phase(state.k) === "update" || run.group[now] === -1 ? 0 : track.step.length - 1;
  return track.step.indexOf(run.position[now]);
}

function nearest(nodes, now) {
  let best = 0;
  nodes.forEach((n, i) => { if (Math.abs(n - now) < Math.abs(nodes[best] - now)) best = i; });
  return best;
}

function shade_window(run, track, at) {
  const box = $("graph"), columns = run.view.columns;
  if (state.fold || !columns.length) return curves.strip.shade(0, 0);
  const factor = followed.factor || 1, left = (followed.left || 0) / factor, right = left + room_of(box)[0] / factor;
  const seen = columns.filter(([, x]) => x >= left && x <= right).map(([t]) => track.step.indexOf(t)).filter((i) => i >= 0);
  if (seen.length) curves.strip.shade(at(Math.min(...seen)), at(Math.max(...seen)));
}

function draw_memory(run) {
  curves.memory ??= new Curve($("memory"));
  const end = run.F + run.B, count = run.live.length, every = Math.max(1, Math.floor(count / 900));
  const xs = [], ys = [];
  for (let i = 0; i < count; i += every) { xs.push(i / end); ys.push(run.live.subarray(i, i + every).reduce((a, b) => Math.max(a, b))); } // no peak between two is lost
  curves.memory.draw(`memory${state.run}`, [{ xs, ys, area: true }], false, bytes_of);
  const k = Math.min(state.k, end);
  curves.memory.mark(k / end);
  curves.memory.shade(run.F / end, 1);
  $("memory-now").textContent = `${bytes_of(run.live[k])} held now, ${bytes_of(run.peak)} at most: values kept for backward, and gradients on their way; shaded while backward runs`;
}

function draw_ledger(run) {
  if (!run.ledgers.length) return;
  const ledger = run.ledgers[Math.min(state.parameter, run.ledgers.length - 1)], cut = masked(run), view = view_of(run);
  const summed = cut && cut.grads && run.full ? terms(run, ledger, cut.grads) : run.computes ? (ledger.checked ??= terms(run, ledger, null)) : null;
  const [table, rows] = ledger_rows(run, ledger, view, summed), box = $("ledger");
  const before = box.querySelectorAll("tbody tr").length;
  box.replaceChildren(table);
  if (before !== rows) box.scrollTop = box.scrollHeight;
  const name = set_runs(ledger.runs), foot = $("ledger-foot");
  if (rows < ledger.step.length || !rows) foot.replaceChildren(rows ? `${rows} of ${ledger.step.length} terms so far; they add up to ∂L/∂` : "The terms appear as backward walks; they add up to ∂L/∂", ...name, ".");
  else if (cut && summed) {
    const leaf = run.array(run.grad[ledger.leaf]).numbers, got = cut.grads[ledger.leaf], lost = norm(leaf.map((v, i) => v - (got ? got[i] : 0)));
    foot.replaceChildren("Truncated ‖∂L/∂", ...name, `‖ = ${show(summed.size)}; lost: ${show(lost)}, ${show((100 * lost) / (ledger.total || 1), 3)} % of the full gradient.`);
  } else {
    const mine = run.full ? (ledger.checked ??= terms(run, ledger, null)) : null;
    foot.replaceChildren("‖∂L/∂", ...name, `‖ = ${show(ledger.total)} = ‖Σ terms‖; residual ${show(run.computes ? mine.residual : ledger.residual, 3)}`, mine && !run.computes ? `; added up again by this page: ${show(mine.residual, 3)}.` : ".");
  }
  if (ledger.left_out) foot.append(` ${ledger.left_out.toLocaleString("en")} rows in the middle are left out.`);
}

function draw_mask(run) {
  $("mask-tools").hidden = run.structure !== "chain";
  $("mask-tools").classList.toggle("on", state.mask !== "full");
  $("mask-k-label").hidden = state.mask === "full";
  const note = $("mask-note"), cut = masked(run);
  note.hidden = !cut;
  if (!cut) return;
  const k = state.width, full = pairs_kept(run, "full", k), pairs = pairs_kept(run, state.mask, k), how = state.mask === "chunk" ? `Backward stops at the border of every ${k} steps` : `Each loss reaches back over ${k} step${k > 1 ? "s" : ""}, its own included`;
  const kept = `: of ${full.toLocaleString("en")} pair${full > 1 ? "s" : ""} (time of loss, time of use) ${pairs.toLocaleString("en")} ${pairs > 1 ? "are" : "is"} kept.`;
  note.textContent = how + kept + (cut.grads ? "" : " This page holds too few numbers to compute the truncated gradients; the cuts alone are shown.");
}

function render() {
  const run = run_now();
  state.k = Math.min(Math.max(state.k, 0), run.end);
  const phase = run.phase(state.k);
  document.documentElement.dataset.phase = phase;
  for (const name of ["forward", "backward", "update"]) $(`to-${name}`).setAttribute("aria-pressed", String(phase === name));
  for (const [name, on] of [["fold", state.fold], ["heat", state.heat], ["log", state.log]]) $(name).setAttribute("aria-pressed", String(on));
  $("fold").hidden = !scene(state.run).folded;
  [...$("runs").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === state.run)));
  const slider = $("position"), text = sentence(run, state.k, data.rate);
  slider.max = run.end;
  slider.value = state.k;
  slider.setAttribute("aria-valuetext", `${state.k} of ${run.end}: ${text}`);
  draw_mask(run);
  draw_graph(run);
  legend(run);
  draw_inside(run);
  draw_strip(run);
  draw_memory(run);
  inspector(run, focus(run), view_of(run));
  draw_ledger(run);
  for (const part of PARTS) part.draw?.(run);
  if (playing) $("say").setAttribute("aria-live", "off");
  else $("say").setAttribute("aria-live", "polite");
  $("say").textContent = text;
  if (state.k > 0) $("guide").hidden = true;
  save();
}

// -- the address ---------------------------------------------------------------------------------------------------
const SHORT = { run: "run", k: "k", by: "by", fold: "fold", heat: "heat", log: "log", parameter: "p", track: "of", mask: "mask", width: "w", pinned: "n", unit: "u", leaf: "leaf", place: "at", embed: "embed" };
const START = { ...state };
let saved = "", later = 0;

// While a slider is dragged the address waits: a browser takes its time for each.
function save() {
  clearTimeout(later);
  if (window.event?.type === "input" && window.event.target?.type === "range") later = setTimeout(save_now, 200);
  else save_now();
}

function save_now() {
  const parts = new URLSearchParams();
  for (const key in SHORT) if (state[key] !== START[key]) parts.set(SHORT[key], String(state[key]));
  for (const part of PARTS) part.save?.(parts);
  const hash = parts.toString();
  if (hash === saved) return;
  saved = hash;
  try { history.replaceState(null, "", `#${hash}`); } catch { location.hash = hash; }
}

function restore() {
  const parts = new URLSearchParams(location.hash.slice(1));
  Object.assign(state, START);
  for (const key in SHORT) {
    const given = parts.get(SHORT[key]);
    if (given === null) continue;
    if (typeof START[key] === "boolean") state[key] = given === "true";
    else if (typeof START[key] === "number") state[key] = Number.isFinite(Number(given)) ? Math.trunc(Number(given)) : START[key];
    else state[key] = given;
  }
  if (!runs[state.run]) state.run = 0;
  for (const part of PARTS) part.restore?.(parts);
  state.embed = parts.has("embed");
  document.documentElement.classList.toggle("embedded", state.embed);
  if (!["full", "window", "chunk"].includes(state.mask)) state.mask = "full";
  if (!["op", "stage"].includes(state.by)) state.by = "op";
  state.width = Math.min(Math.max(state.width, 1), Math.max(run_now().total, 1));
  state.track = Math.min(Math.max(state.track, 0), run_now().tracks.length - 1);
  state.parameter = Math.min(Math.max(state.parameter, 0), Math.max(run_now().ledgers.length - 1, 0));
  saved = parts.toString();
}

// -- moving --------------------------------------------------------------------------------------------------------
function go(k) {
  state.k = Math.min(Math.max(k, 0), run_now().end);
  state.pinned = -1;
  state.unit = -1;
  render();
}

function move(way, by) {
  const run = run_now();
  if (by === "op") return go(state.k + way);
  const next = way > 0 ? run.ends.find((e) => e > state.k) : run.ends.findLast((e) => e < state.k);
  go(next ?? (way > 0 ? run.end : 0));
}

function play(on) {
  clearInterval(playing);
  playing = 0;
  if (on) {
    if (state.k >= run_now().end) go(0);
    playing = setInterval(() => {
      if (state.k >= run_now().end) return play(false);
      move(1, state.by);
    }, state.by === "op" ? 350 : 650);
  }
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  if (!on) $("say").setAttribute("aria-live", "polite");
}

function switch_run(number) {
  const before = run_now(), share = state.k <= before.F ? state.k / before.F : state.k <= before.F + before.B ? 1 + (state.k - before.F) / before.B : 2 + (state.k - before.F - before.B) / before.U;
  state.run = number;
  const run = run_now();
  state.k = Math.round(share <= 1 ? share * run.F : share <= 2 ? run.F + (share - 1) * run.B : run.F + run.B + (share - 2) * run.U);
  Object.assign(state, { pinned: -1, unit: -1, leaf: -1, place: 0, track: 0, parameter: first_parameter(run), width: Math.min(state.width, Math.max(run.total, 1)) });
  if (run.structure !== "chain") state.mask = "full";
  lists();
  render();
}

// The recurrent weights, if they can be told: the ledger with most rows and a matrix for a value.
function first_parameter(run) {
  const named = run.ledgers.findIndex((l) => l.name === "W");
  if (named >= 0) return named;
  let best = 0;
  run.ledgers.forEach((l, i) => {
    const rank = (x) => x.step.length * 10 + run.shape(x.leaf).length;
    if (rank(l) > rank(run.ledgers[best])) best = i;
  });
  return best;
}

function lists() {
  const run = run_now(), options = (select, names, chosen) => {
    select.replaceChildren(...names.map((name, i) => element("option", { value: i, ...(i === chosen ? { selected: "" } : {}) }, name)));
    select.value = String(chosen);
  };
  options($("parameter"), run.ledgers.map((l) => l.name), state.parameter);
  options($("track"), run.tracks.map((t) => t.name || "node"), state.track);
  $("track-label").hidden = run.tracks.length < 2;
  $("mask").value = state.mask;
  $("mask-k").value = state.width;
  $("mask-k").max = Math.max(run.total, 1);
  $("by").value = state.by;
  $("by").options[1].textContent = stage_word(run);
  document.querySelectorAll(".stage-word").forEach((w) => { w.textContent = stage_word(run); });
  for (const [id, way] of [["back-stage", "back"], ["next-stage", "on"]]) $(id).setAttribute("aria-label", `One ${stage_word(run)} ${way}`);
  const left = [];
  if (!run.whole) left.push(`This page holds ${run.held.toLocaleString("en")} of the ${run.of.toLocaleString("en")} nodes that the loss depends on: the first and the last steps; strip and ledger are of all.`);
  if (run.whole && run.view.columns.length && run.total > run.view.columns.length) left.push(`The graph draws ${run.view.columns.length} of ${run.total.toLocaleString("en")} steps.`);
  if (!run.full && run.cap) left.push(`Of arrays with more than ${run.cap} numbers, the norm and ${run.cap} sampled units are kept; norms are of all.`);
  if (data.missing.length) left.push(`This page shows numbers that were stored and can't be changed: it has no JavaScript for ${data.missing.join(", ")}.`);
  else if (!run.computes) left.push("This page shows numbers that were stored and can't be changed: the whole of this run is too large for a page that computes.");
  $("banner").textContent = left.join(" ");
  $("banner").hidden = !left.length;
}

// -- set up --------------------------------------------------------------------------------------------------------
const KEYS = {
  ArrowRight: (shift) => move(1, shift ? "stage" : "op"), ArrowLeft: (shift) => move(-1, shift ? "stage" : "op"),
  Home: () => go(0), End: () => go(run_now().end), " ": () => play(!playing),
  f: () => toggle("fold"), g: () => toggle("heat"), l: () => toggle("log"), "?": () => $("help").showModal(),
  Escape: () => { state.pinned = -1; render(); },
  n: () => choose_node(1), p: () => choose_node(-1),
};

// The next node of the graph, or the one before, into the inspector: what a click does, by keys.
function choose_node(way) {
  const run = run_now(), nodes = Array.from(run.vertexNode).filter((n) => n >= 0), start = state.pinned >= 0 ? state.pinned : vertex_node(run);
  const at = nodes.indexOf(start);
  state.pinned = nodes[(at + way + nodes.length) % nodes.length];
  state.unit = -1;
  render();
  const known = run.is_leaf(state.pinned) || run.computed[state.pinned] <= state.k, norm_ = gradient_norm(run, state.pinned);
  $("say").textContent = `${name_text(run, state.pinned)}, ${stage_text(run, state.pinned)}: ${known ? `value of norm ${show(run.value_norm[state.pinned])}` : "not computed yet"}${norm_ === null ? "" : `, gradient of norm ${show(norm_)}`}.`;
  const vertex = scene(state.run).main.vertices[Array.from(run.vertexNode).indexOf(state.pinned)];
  if (vertex && !state.fold) follow($("graph"), vertex);
}

// The node that stands in the graph for the current event.
function vertex_node(run) {
  const n = run.node_at(state.k);
  return n >= 0 && run.owner[n] >= 0 ? run.vertexNode[run.owner[n]] : -1;
}

function toggle(what) {
  state[what] = !state[what];
  render();
}

function on_key(event) {
  if (document.querySelector("dialog[open]")) return;
  if (PARTS.some((part) => part.keys?.(event))) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const kind = event.target.tagName, typed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (kind === "SELECT" || (kind === "INPUT" && event.target.id !== "position")) return;
  const pressed = (kind === "BUTTON" || kind === "SUMMARY") && !event.target.closest("dialog"); // a closed one can keep the focus for a moment
  if (typed === " " && pressed) return;
  const act = KEYS[typed];
  if (!act) return;
  event.preventDefault();
  if (typed.startsWith("Arrow") || typed === "Home" || typed === "End") play(false);
  act(event.shiftKey);
}

function listen() {
  const click = { first: () => go(0), last: () => go(run_now().end), back: () => move(-1, "op"), next: () => move(1, "op"), "back-stage": () => move(-1, "stage"), "next-stage": () => move(1, "stage"), play: () => play(!playing), "to-forward": () => go(1), "to-backward": () => go(run_now().F + 1), "to-update": () => go(run_now().F + run_now().B + 1), fold: () => toggle("fold"), heat: () => toggle("heat"), log: () => toggle("log"), "help-open": () => $("help").showModal(), "guide-close": () => { $("guide").hidden = true; } };
  for (const id in click) $(id).addEventListener("click", () => { if (id !== "play") play(false); click[id](); });
  $("position").addEventListener("input", () => { play(false); go(Number($("position").value)); });
  const choose = (id, key, read = Number) => $(id).addEventListener("change", () => { state[key] = read($(id).value); lists(); render(); });
  choose("parameter", "parameter");
  choose("track", "track");
  choose("mask", "mask", String);
  choose("mask-k", "width", (v) => Math.min(Math.max(Math.round(Number(v)) || 1, 1), Math.max(run_now().total, 1)));
  $("by").addEventListener("change", () => { state.by = $("by").value; if (playing) play(true); save(); });
  $("graph").addEventListener("scroll", () => { followed.left = $("graph").scrollLeft; if (curves.strip?.x) { const run = run_now(), t = run.tracks[state.track], c = t.norm.length; shade_window(run, t, (i) => (c > 1 ? i / (c - 1) : 0.5)); } });
  $("strip").addEventListener("pointerdown", (event) => {
    scrub(event);
    $("strip").setPointerCapture(event.pointerId);
  });
  $("strip").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
  document.addEventListener("keydown", on_key);
  window.addEventListener("hashchange", () => { if (location.hash.slice(1) !== saved) { restore(); lists(); render(); } });
  window.addEventListener("resize", () => { measured.clear(); render(); });
  window.addEventListener("beforeprint", to_paper);
}

// A click on the strip goes to the moment when the gradient there is complete.
function scrub(event) {
  play(false);
  const run = run_now(), track = run.tracks[state.track], frame = $("strip").getBoundingClientRect(), count = track.norm.length;
  const share = (event.clientX - frame.left - 52) / Math.max(frame.width - 64, 1), i = Math.min(Math.max(Math.round(share * (count - 1)), 0), count - 1);
  const held = Array.from(track.node, (n, j) => [n, Math.abs(j - i)]).filter(([n]) => n >= 0).sort((a, b) => a[1] - b[1])[0];
  if (held && run.walked[held[0]] >= 0) go(run.walked[held[0]]);
}

// The colours with the numbers they stand for, as far as this run has them.
function legend(run) {
  const { low, high, clipped, zero, bad } = scene(state.run), swatch = (c) => element("span", { class: "swatch", style: `background:${c}` });
  const power = (x) => `10${raise(Math.round(Math.log10(x)))}`, first = state.log ? `${clipped ? "≤ " : ""}${power(low)}` : "0";
  const parts = low ? ["‖∂L/∂node‖ ", `${first} `, ...data.heat.scale.map(swatch), ` ${power(high)}`] : ["‖∂L/∂node‖"];
  if (zero || state.mask !== "full") parts.push("   ", swatch(data.heat.zero), " exactly 0");
  if (bad) parts.push("   ", swatch(data.heat.bad), " not finite");
  $("legend").replaceChildren(...(state.heat ? parts : []));
}

function help() {
  const swatch = (c) => element("span", { class: "swatch", style: `background:${c}` });
  $("help-heat").replaceChildren("Gradient norms, from small to large: ", ...data.heat.scale.map(swatch), "; exactly 0: ", swatch(data.heat.zero), "; not finite: ", swatch(data.heat.bad), ". The fill a node has at the start: no gradient has come to it yet, or none ever does. Pale: not computed yet.");
  const told = [["--forward", "forward: buttons, the walk, bars of terms that point the way of the sum"], ["--backward", "backward; bars of terms against the sum; arrows that truncation or you have cut"], ["--update", "update"], ["--changed", "changed by you: nodes whose value or gradient is no longer that of the page as it was written"], ["--state", "a state"], ["--data", "an input or a target"], ["--param", "a parameter"], ["--loss", "a loss"]];
  $("help-colours").replaceChildren(...told.flatMap(([name, words]) => [element("dt", {}, element("span", { class: "swatch framed", style: `background:var(${name})` })), element("dd", {}, words)]));
}

document.documentElement.classList.add("scripted");
document.title = `${runs.map((r) => r.title).join(" and ")}, step by step`;
$("title").textContent = runs.map((r) => r.title).join(" and ");
if (runs.length > 1) $("runs").append(...runs.map((r, i) => element("button", { type: "button", onclick: () => switch_run(i) }, r.title)));
else $("runs").hidden = true;
START.parameter = state.parameter = first_parameter(runs[0]);
START.width = state.width = Math.min(5, Math.max(runs[0].total, 1));
help();
for (const part of PARTS) part.listen?.();
restore();
lists();
listen();
render();
window.stepper = { runs, state, go, move, render, terms, backward, Mask };
for (const part of PARTS) Object.assign(window.stepper, part.open);
