// The runs of the page, and its state. All that is shown is a function of the two; the state is in the address.
const data = JSON.parse($("data").textContent, (_, v) => (v === "NaN" ? NaN : v === "Infinity" ? Infinity : v === "-Infinity" ? -Infinity : v));
const runs = data.runs.map((json) => (json.computes ? new Live(json) : new Run(json)));
const PARTS = []; // parts of the page that only some pages have: {draw(run), listen(), leave() another run is shown, save(parts), restore(parts), keys(event)}
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = {
  run: 0, k: 0, by: "op", fold: false, heat: true, log: true, parameter: 0, track: 0, mask: "full", width: 5, pinned: -1, unit: -1, leaf: -1, place: 0, embed: false,
};
let playing = 0, scenes = [], curves = {}, gradients = { key: "", grads: null };

const run_now = () => runs[state.run];
