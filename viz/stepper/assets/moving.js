// Moving through the walk, from run to run, and from node to node.
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
  for (const part of PARTS) part.leave?.();
  state.run = number;
  const run = run_now();
  state.k = Math.round(share <= 1 ? share * run.F : share <= 2 ? run.F + (share - 1) * run.B : run.F + run.B + (share - 2) * run.U);
  Object.assign(state, { pinned: -1, unit: -1, leaf: -1, place: 0, track: 0, parameter: first_parameter(run), width: Math.min(state.width, Math.max(run.given_total, 1)) });
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
