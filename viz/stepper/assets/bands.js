// The rainbow: the gradient of each step's loss by itself, ∂L_s/∂h(t), stacked over t; which losses reach how far back.
const MOST_BANDS = 24, REACH = 0.01;
const CHEAP = 400_000, ALL_BANDS = 128; // numbers that all bands together may be worked out of; bands that can be told apart

// Each loss has a band of its own as long as that takes no longer than a moment; a backward pass is made for each.
const most_bands = (run) => Math.max(MOST_BANDS, Math.min(ALL_BANDS, Math.floor(CHEAP / run.work)));

// The losses of a run in groups of neighbouring steps, mostly of one: [[s, …], …].
function loss_groups(run) {
  run.work ??= Array.from({ length: run.n }, (_, n) => 8 + size_of(run.shape(n))).reduce((a, b) => a + b, 0);
  const steps = [...new Set(run.loss_steps.flatMap(([first, beyond]) => Array.from({ length: beyond - first }, (_, i) => first + i)))].sort((a, b) => a - b);
  const wide = Math.ceil(steps.length / most_bands(run)) || 1;
  return Array.from({ length: Math.ceil(steps.length / wide) }, (_, i) => steps.slice(i * wide, (i + 1) * wide));
}

// Gradients of all nodes by the losses of some steps alone.
function gradients_of(run, steps) {
  const { after, timed } = run.outer, own = new Set(steps), first = own.has(loss_groups(run)[0][0]);
  return run.executor.backward(run.loss, (n, place) => {
    const e = run.pointer[n] + place, x = run.source[e];
    if (!run.form[e] || run.blocks(n, e)) return false;
    if (!after[n] || after[x]) return true;
    return timed[x] ? own.has(run.position[x]) : first;
  });
}

// For each group of losses the norms along a track, and the terms of a ledger; kept until a number changes.
function bands_of(run, number = state.track, parameter = state.parameter) {
  const key = `${run.version}|${number}|${parameter}`;
  if (run.bands?.key === key) return run.bands;
  const track = run.tracks[Math.min(number, run.tracks.length - 1)], ledger = run.ledgers[parameter];
  const groups = loss_groups(run).map((steps) => {
    const grads = gradients_of(run, steps);
    return { steps, norms: Array.from(track.node, (n) => (grads[n] ? norm(grads[n]) : 0)), rows: ledger ? terms(run, ledger, grads).rows.map((row) => row.size) : [] };
  });
  return (run.bands = { key, groups, track });
}

const band_colour = (i, count) => `hsl(${Math.round(265 - (250 * i) / Math.max(count - 1, 1))} 68% ${i % 2 ? 46 : 56}%)`;
const steps_text = (steps) => (steps.length > 1 ? `${steps[0]}–${steps[steps.length - 1]}` : String(steps[0]));

function draw_bands(run) {
  const on = run.computes && run.structure === "chain" && run.loss_steps.length > 0;
  $("bands-label").hidden = !on;
  const how = on ? state.bands : "off";
  $("bands-kind").value = state.bands;
  $("rainbow").toggleAttribute("hidden", how === "off");
  $("strip").style.display = how === "off" ? "" : "none";
  if (how === "off") return;
  const { groups, track } = bands_of(run), svg = $("rainbow"), [across] = room_of(svg.parentElement);
  const width = Math.max(across - 2, 260), height = 150, left = 52, right = 12, top = 8, foot = 18, count = track.node.length;
  const x = (i) => left + (count > 1 ? i / (count - 1) : 0.5) * (width - left - right);
  const totals = Array.from({ length: count }, (_, i) => groups.reduce((a, g) => a + g.norms[i], 0)), most = Math.max(...totals.filter(Number.isFinite), 0) || 1;
  const y = (v, i) => height - foot - Math.min(Math.max(how === "share" ? v / (totals[i] || 1) : v / most, 0), 1) * (height - top - foot);
  const below = new Array(count).fill(0), paths = groups.map((g, k) => {
    const before = below.slice();
    g.norms.forEach((v, i) => { below[i] += Number.isFinite(v) ? v : 0; });
    const upper = below.map((v, i) => `${x(i).toFixed(1)},${y(v, i).toFixed(1)}`), lower = before.map((v, i) => `${x(i).toFixed(1)},${y(v, i).toFixed(1)}`).reverse();
    return drawn("path", { class: "band", fill: band_colour(k, groups.length), d: `M${[...upper, ...lower].join("L")}Z` }, drawn("title", {}, `loss of t = ${steps_text(g.steps)}`));
  });
  const ticks = [[how === "share" ? "100 %" : show(most, 3), top], ["0", height - foot]].map(([text, at]) => drawn("text", { class: "tick", x: left - 6, y: at + 4 }, text));
  const times = [0, count - 1].map((i) => drawn("text", { class: "tick time", x: x(i), y: height - 3, style: `text-anchor:${i ? "end" : "start"}` }, `t = ${track.step[i]}`));
  const now = run.node_at(state.k), where = now < 0 ? 0 : Math.max(place_on_track(run, track, now), 0);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...paths, ...ticks, ...times, drawn("line", { class: "marker", x1: x(where), x2: x(where), y1: 2, y2: height - foot }));
  $("strip-legend").replaceChildren("losses of ", ...groups.flatMap((g, k) => (k === 0 || k === groups.length - 1 || groups.length <= 8 ? [element("span", { class: "swatch", style: `background:${band_colour(k, groups.length)}` }), ` t = ${steps_text(g.steps)}  `] : [element("span", { class: "swatch", style: `background:${band_colour(k, groups.length)}` })])));
  $("bands-note").textContent = reach_text(run, bands_of(run));
}

// Neighbouring steps as ranges: 0–5, 8.
function ranges(steps) {
  const found = [];
  for (const t of steps) {
    const last = found[found.length - 1];
    if (last && last[1] === t - 1) last[1] = t;
    else found.push([t, t]);
  }
  return found.map(([a, b]) => (a === b ? String(a) : `${a}–${b}`)).join(", ");
}

// Which losses still have a hundredth of their own gradient at the first step, and how much of the last one's is left.
function reach_of({ groups, track }) {
  const start = track.step.indexOf(Math.min(...track.step)), at = (g) => track.step.indexOf(g.steps[g.steps.length - 1]);
  const reach = groups.filter((g) => at(g) >= 0 && g.norms[at(g)] > 0 && g.norms[start] >= REACH * g.norms[at(g)]), last = groups[groups.length - 1];
  const share = at(last) >= 0 && last.norms[at(last)] > 0 ? last.norms[start] / last.norms[at(last)] : NaN;
  const list = reach.length === groups.length ? "all" : reach.length ? ranges(reach.flatMap((g) => g.steps)) : "none";
  return `${list}${Number.isNaN(share) ? "" : ` (of the last one, of t = ${steps_text(last.steps)}, ${show(100 * share, 3)} % is left there)`}`;
}

// The same of all runs of the page that have such losses, to compare.
function reach_text(run, bands) {
  const others = runs.filter((r) => r !== run && r.computes && r.structure === "chain" && r.loss_steps.length).map((r) => [r.title, bands_of(r, Math.max(r.tracks.findIndex((track) => track.name === bands.track.name), 0), first_parameter(r))]);
  const list = [[run.title, bands], ...others].map(([title, of]) => `${others.length ? `${title}: ` : ""}${reach_of(of)}`);
  return `Losses that reach t = ${Math.min(...bands.track.step)} with at least 1 % of their gradient at their own step: ${list.join("; ")}. Heights add up norms; gradients of different losses can cancel.`;
}

// The bar of a row of the ledger, in the colours of the losses that its term comes from.
function band_bar(run, row) {
  const { groups } = bands_of(run), total = groups.reduce((sum, g) => sum + (g.rows[row] || 0), 0) || 1;
  return groups.map((g, k) => element("i", { style: `width:${((100 * (g.rows[row] || 0)) / total).toFixed(1)}%;background:${band_colour(k, groups.length)}`, title: `loss of t = ${steps_text(g.steps)}: ${show(g.rows[row] || 0, 3)}` }));
}

PARTS.push({
  draw: (run) => draw_bands(run),
  listen() {
    $("bands-kind").addEventListener("change", () => { state.bands = $("bands-kind").value; render(); });
    $("rainbow").addEventListener("pointerdown", scrub);
  },
  save(parts) { if (state.bands !== "off") parts.set("bands", state.bands); },
  restore(parts) { state.bands = ["sum", "share"].includes(parts.get("bands")) ? parts.get("bands") : "off"; },
  open: { bands: () => bands_of(run_now()) },
});
state.bands = "off";
