// Two nets, one cursor: another graph below this one's, at the same phase and time step, each node coloured by how its
// gradient compares with that of the same node here. The other is the page's next run, of which an input that is changed
// here is changed too; or this net without truncation; or this net before training.
const PAIRS = { run: "the next run", whole: "without truncation", untrained: "before training" };
const LESS = [213, 94, 0], MORE = [0, 114, 178], MOST_DECADES = 3;

const other_run = () => (state.run + 1) % runs.length;

// The event of a run at the same phase and time step as event k of another; where it has no such step, at the same share.
function same_moment(from, k, to) {
  const phase = from.phase(k), n = from.node_at(k);
  if (phase === "start") return 0;
  if (phase === "update") return Math.min(to.F + to.B + (k - from.F - from.B), to.end);
  const walk = phase === "forward" ? to.forward : to.backward, before = phase === "forward" ? 0 : to.F;
  const at = from.group[n] >= 0 ? Array.from(walk).findLastIndex((m) => to.group[m] === from.group[n]) : -1;
  if (at >= 0) return before + at + 1;
  const share = phase === "forward" ? k / from.F : (k - from.F) / from.B;
  return before + Math.max(1, Math.round(share * walk.length));
}

// The node of a run that has the name and the time step of a node of another, -1 where there is none.
function counterpart(from, n, to) {
  to.by_name ??= new Map(Array.from({ length: to.n }, (_, m) => [to.of_kind(m).name && `${to.of_kind(m).name}|${to.position[m]}|${to.of_kind(m).op}`, m]));
  const { name, op } = from.of_kind(n);
  return (name && to.by_name.get(`${name}|${from.position[n]}|${op}`)) ?? (name ? same_name(from, n, to) : -1);
}

function same_name(from, n, to) {
  to.by_place ??= new Map(Array.from({ length: to.n }, (_, m) => [`${to.of_kind(m).name}|${to.position[m]}`, m]));
  return to.by_place.get(`${from.of_kind(n).name}|${from.position[n]}`) ?? -1;
}

// Blue where the gradient is larger than there, orange where it is smaller: decades of the ratio.
function ratio_fill(here, there) {
  if (!(here > 0) || !(there > 0) || !Number.isFinite(here) || !Number.isFinite(there)) return null;
  const decades_ = Math.max(-1, Math.min(1, Math.log10(here / there) / MOST_DECADES)), end = decades_ < 0 ? LESS : MORE, share = Math.sqrt(Math.abs(decades_));
  const c = end.map((v) => Math.round(247 + (v - 247) * share));
  return [`rgb(${c.join(",")})`, share > 0.75 ? "#ffffff" : "#1a1a1a"];
}

// The pairs that this page offers for a run.
const pairs_of = (run) => Object.keys(PAIRS).filter((pair) => (pair === "run" ? runs.length > 1 && runs.every((r) => r.computes) : run.computes && (pair === "untrained" || run.structure === "chain")));

// The same net with all that was done to it, but for the updates.
function untrained(number) {
  const run = runs[number], done = logs[number].done.filter(([name]) => name !== "t"), key = JSON.stringify(done);
  run.twin ??= new Live(data.runs[number]);
  if (run.twin.key === key) return run.twin;
  run.twin.restart();
  for (const [name, ...numbers] of done) ACTIONS[name]?.(run.twin, numbers);
  run.twin.compute();
  run.twin.key = key;
  return run.twin;
}

// A second drawing of a run's graph.
function second_drawing(run, number) {
  if (run.second) return run.second;
  run.second = pieces(scene(number).main.svg.cloneNode(true));
  for (const g of run.second.links) g.classList.remove("lit", "backwards", "masked", "severed", "after-end");
  run.second.vertices.forEach((g, v) => { if (run.vertexNode[v] >= 0) pick(g, run.vertexNode[v]); });
  return run.second;
}

// What stands beside a run: {to, title, k, drawing, match: node there → node here, here and there: gradient norms}.
function pair_now(run) {
  const cut = masked(run), own = { here: (n) => run.grad_norm[n], title: PAIRS[state.beside], k: state.k, match: (n) => n, name: run.title };
  if (state.beside === "run") {
    const to = runs[other_run()], drawing = scene(other_run()).main;
    return { ...own, to, drawing, title: to.title, k: same_moment(run, state.k, to), match: (n) => counterpart(to, n, run), there: (n) => to.grad_norm[n] };
  }
  const drawing = second_drawing(run, state.run), to = state.beside === "untrained" ? untrained(state.run) : run;
  if (state.beside === "untrained") return { ...own, to, drawing, name: "now", there: (n) => to.grad_norm[n] };
  return { ...own, to, drawing, name: cut ? `${state.mask} of ${state.width}` : "now", here: (n) => (cut?.grads ? norm(cut.grads[n] ?? []) : run.grad_norm[n]), there: (n) => run.grad_norm[n] };
}

function draw_beside(run) {
  const offered = pairs_of(run), on = offered.includes(state.beside), select = $("beside-what");
  $("beside").hidden = !offered.length;
  $("beside-card").hidden = !on;
  $("beside").setAttribute("aria-pressed", String(on));
  if (!on) return;
  if (select.dataset.of !== offered.join()) select.replaceChildren(...offered.map((pair) => element("option", { value: pair }, PAIRS[pair])));
  select.dataset.of = offered.join();
  select.value = state.beside;
  const pair = pair_now(run), { to, k, drawing } = pair, box = $("beside-graph");
  if (box.firstElementChild !== drawing.svg) box.replaceChildren(drawing.svg);
  const here = { run: state.run, k: state.k, pinned: state.pinned };
  Object.assign(state, { k, pinned: -1, run: state.beside === "run" ? other_run() : state.run });
  scale(to, box, drawing, false);
  drawing.vertices.forEach((g, v) => {
    const n = to.vertexNode[v];
    if (n < 0) return;
    const own = node_state(to, n), m = pair.match(n), fill = own.begun && m >= 0 ? ratio_fill(pair.there(n), pair.here(m)) : null;
    paint(g, { ...own, now: to.owner[to.node_at(k)] === v }, state.heat ? fill : null);
  });
  draw_length(to, drawing);
  Object.assign(state, here);
  followed.factor = 0; // the first graph's is asked for anew
  const owner = to.owner[to.node_at(k)];
  if (owner >= 0 && followed.beside !== `${state.beside}|${state.run}|${k}`) follow(box, drawing.vertices[owner]);
  followed.beside = `${state.beside}|${state.run}|${k}`;
  $("beside-title").textContent = state.beside === "run" ? `${pair.title}, at the same time step` : `The same net ${pair.title}`;
  $("beside-note").replaceChildren("Gradients here, beside those of the same node above: ", element("span", { class: "swatch", style: `background:rgb(${MORE})` }), " larger, ", element("span", { class: "swatch", style: `background:rgb(${LESS})` }), ` smaller, by up to 10³ and more. ${told(pair.name, run, pair.here)}; ${told(pair.title, to, pair.there)}. ${first_steps(run, pair)}`);
}

// Loss and gradient, by all parameters together, of one of the pair.
const told = (name, run, size) => `${name}: L = ${show(run.values[run.loss][0], 4)}, ‖gradient‖ = ${show(norm(learned(run).map((n) => size(n) || 0)), 3)}`;

// What of the gradient at the last step is left at the first, in both.
function first_steps(run, { to, here, there }) {
  const left = (r, size) => {
    const track = r.tracks.find((t) => t.name === run.tracks[state.track]?.name) ?? r.tracks[0], norms = Array.from(track.node, (n) => (n >= 0 ? size(n) : NaN));
    return norms.length > 1 && norms[norms.length - 1] > 0 ? norms[0] / norms[norms.length - 1] : NaN;
  };
  const [a, b] = [left(run, here), left(to, there)];
  return Number.isFinite(a) && Number.isFinite(b) ? `‖∂L/∂${run.tracks[state.track]?.name || "node"}‖ at the first step over that at the last: ${show(a, 3)} and ${show(b, 3)}.` : "";
}

// Show a pair; without truncation there is something to see beside a truncated gradient only.
function put_beside(pair) {
  state.beside = pair;
  if (pair === "whole" && state.mask === "full") state.mask = "window";
  measured.clear();
  lists();
  render();
}

// A change of an input is one of the other run's input of that name and shape too.
function also_there(action) {
  const run = run_now(), [name, n, place, value] = action;
  if (state.beside !== "run" || name !== "s" || !["input", "constant"].includes(run.of_kind(n).op)) return;
  const number = other_run(), to = runs[number], kind = run.of_kind(n);
  const m = leaves_of(to).find((x) => to.of_kind(x).op === kind.op && to.of_kind(x).name === kind.name && to.of_kind(x).shape.join() === kind.shape.join());
  if (m === undefined) return;
  note_action(logs[number], ["s", m, place, value]);
  replay(number);
}

PARTS.push({
  draw: draw_beside,
  listen() {
    $("beside").addEventListener("click", () => {
      const run = run_now(), offered = pairs_of(run), first = runs.length === 1 && run.history.length ? "untrained" : offered[0];
      put_beside(offered.includes(state.beside) ? "" : first);
    });
    $("beside-what").addEventListener("change", () => put_beside($("beside-what").value));
  },
  save(parts) { if (state.beside) parts.set("beside", state.beside === "run" ? "true" : state.beside); },
  open: { same_moment: (k) => same_moment(run_now(), k, runs[other_run()]), pair: () => pair_now(run_now()) },
  restore(parts) {
    const given = parts.get("beside"), pair = given === "true" ? "run" : given;
    state.beside = pairs_of(run_now()).includes(pair) ? pair : "";
  },
});
state.beside = "";
