// Two nets, one cursor: the next run's graph below this one's, at the same phase and time step, each node coloured by how
// its gradient compares with that of the same node here; what is changed of an input is changed in both.
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

function draw_beside(run) {
  const many = runs.length > 1 && runs.every((r) => r.computes);
  $("beside").hidden = !many;
  $("beside-card").hidden = !(many && state.beside);
  $("beside").setAttribute("aria-pressed", String(Boolean(state.beside)));
  if (!many || !state.beside) return;
  const number = other_run(), to = runs[number], k = same_moment(run, state.k, to), box = $("beside-graph"), { main } = scene(number);
  if (box.firstElementChild !== main.svg) box.replaceChildren(main.svg);
  const here = { run: state.run, k: state.k, pinned: state.pinned };
  Object.assign(state, { run: number, k, pinned: -1 });
  scale(to, box, main, false);
  main.vertices.forEach((g, v) => {
    const n = to.vertexNode[v];
    if (n < 0) return;
    const own = node_state(to, n), pair = counterpart(to, n, run);
    const fill = own.begun && pair >= 0 ? ratio_fill(to.grad_norm[n], run.grad_norm[pair]) : null;
    paint(g, { ...own, now: to.owner[to.node_at(k)] === v }, state.heat ? fill : null);
  });
  Object.assign(state, here);
  followed.factor = 0; // the first graph's is asked for anew
  const owner = to.owner[to.node_at(k)];
  if (owner >= 0 && followed.beside !== `${number}|${k}`) follow(box, main.vertices[owner]);
  followed.beside = `${number}|${k}`;
  $("beside-title").textContent = `${to.title}, at the same time step`;
  const loss = (r) => show(r.values[r.loss][0], 4), total = (r) => show(global_norm(r, r.grads), 3);
  $("beside-note").replaceChildren("Gradients here, beside those of the same node above: ", element("span", { class: "swatch", style: `background:rgb(${MORE})` }), " larger, ", element("span", { class: "swatch", style: `background:rgb(${LESS})` }), ` smaller, by up to 10³ and more. ${run.title}: L = ${loss(run)}, ‖gradient‖ = ${total(run)}; ${to.title}: L = ${loss(to)}, ‖gradient‖ = ${total(to)}. ${first_steps(run, to)}`);
}

// What of the gradient at the last step is left at the first, in both.
function first_steps(run, to) {
  const left = (r) => {
    const track = r.tracks.find((t) => t.name === run.tracks[state.track]?.name) ?? r.tracks[0], norms = Array.from(track.norm);
    return norms.length > 1 && norms[norms.length - 1] > 0 ? norms[0] / norms[norms.length - 1] : NaN;
  };
  const [a, b] = [left(run), left(to)];
  return Number.isFinite(a) && Number.isFinite(b) ? `‖∂L/∂${run.tracks[state.track]?.name || "node"}‖ at the first step over that at the last: ${show(a, 3)} and ${show(b, 3)}.` : "";
}

// A change of an input is one of the other run's input of that name and shape too.
function also_there(action) {
  const run = run_now(), [name, n, place, value] = action;
  if (!state.beside || name !== "s" || !["input", "constant"].includes(run.of_kind(n).op)) return;
  const number = other_run(), to = runs[number], kind = run.of_kind(n);
  const m = leaves_of(to).find((x) => to.of_kind(x).op === kind.op && to.of_kind(x).name === kind.name && to.of_kind(x).shape.join() === kind.shape.join());
  if (m === undefined) return;
  note_action(logs[number], ["s", m, place, value]);
  replay(number);
}

PARTS.push({
  draw: draw_beside,
  listen() {
    $("beside").addEventListener("click", () => { state.beside = !state.beside; measured.clear(); render(); });
  },
  save(parts) { if (state.beside) parts.set("beside", "true"); },
  open: { same_moment: (k) => same_moment(run_now(), k, runs[other_run()]) },
  restore(parts) { state.beside = parts.get("beside") === "true" && runs.length > 1; },
});
state.beside = false;
