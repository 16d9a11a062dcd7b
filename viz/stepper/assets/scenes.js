// The graph of a run, unfolded and folded: its drawings, made when it is first shown, and the state on them.
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
    mark(g, { lit: lit.has(`${a}>${b}`), backwards: phase === "backward", masked: Boolean(cut) && is_cut(run, cut.mask, a, b) });
  });
}

// Put classes on an element, or take them off, where they are not so already: a browser works out styles for each.
function mark(g, classes) {
  for (const name in classes) if (g.classList.contains(name) !== classes[name]) g.classList.toggle(name, classes[name]);
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
  if (!run.in_time(n, x)) return false;
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

const followed = {}; // what the boxes were last scrolled to, and how far the graph is

// Keep the current node inside the middle of its box.
function follow(box, g) {
  const at = g.getBoundingClientRect(), frame = box.getBoundingClientRect(), x = (at.left + at.right) / 2 - frame.left;
  const y = (at.top + at.bottom) / 2 - frame.top, move = {};
  if (x < frame.width * 0.18 || x > frame.width * 0.82) move.left = box.scrollLeft + x - frame.width / 2;
  if (y < 20 || y > frame.height - 20) move.top = box.scrollTop + y - frame.height / 2;
  if (Object.keys(move).length) box.scrollTo({ ...move, behavior: calm.matches || playing || Math.abs(x - frame.width / 2) > frame.width ? "auto" : "smooth" });
}
