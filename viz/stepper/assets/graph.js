// The pictures: the unfolded and the folded graph, the opened step, colours of gradients, and the two curves.
const pieces = (svg) => ({
  svg,
  vertices: [...svg.querySelectorAll(":scope > g.v")],
  links: [...svg.querySelectorAll(":scope > g.e")],
});

// An SVG text of the exporter as an element: parsed as XML, so that nothing in it can be a script of the page.
function parsed(text) {
  const document_ = new DOMParser().parseFromString(text, "image/svg+xml");
  return document.importNode(document_.documentElement, true);
}

// How wide and high an element is, asked once until the window changes: asking makes the browser lay all out again.
const measured = new Map();
function room_of(box) {
  if (!measured.has(box)) measured.set(box, [box.clientWidth, box.clientHeight]);
  return measured.get(box);
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

// Colour and ink of a gradient norm between low and high; no colour for null, a norm that is not known.
function heat_of(norm, low, high, log, { scale: palette, zero, bad }) {
  if (norm === null) return null;
  if (!Number.isFinite(norm)) return [bad, "#1a1a1a"];
  if (norm <= 0) return [zero, "#1a1a1a"];
  const at = log ? (Math.log10(norm) - Math.log10(low)) / (Math.log10(high) - Math.log10(low) || 1) : norm / high;
  const place = Math.min(Math.max(at, 0), 1) * (palette.length - 1), i = Math.min(Math.floor(place), palette.length - 2);
  const [a, b] = [rgb(palette[i]), rgb(palette[i + 1])];
  const c = a.map((v, j) => Math.round(v + (b[j] - v) * (place - i)));
  const linear = c.map((v) => (v / 255 <= 0.04 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return [`rgb(${c.join(",")})`, light > 0.2 ? "#1a1a1a" : "#ffffff"];
}

// Whole powers of ten around norms, at least one decade and at most twelve.
function decades(norms) {
  const good = norms.filter((x) => Number.isFinite(x) && x > 0);
  if (!good.length) return [0.1, 1];
  const top = good.reduce((a, b) => Math.max(a, b)), least = good.reduce((a, b) => Math.min(a, b));
  const high = Math.floor(Math.log10(top) - 1e-9) + 1, low = Math.floor(Math.log10(least) + 1e-9);
  return [10 ** Math.max(Math.min(low, high - 1), high - 12), 10 ** high];
}

// Paint a node: not yet, done, being computed; with the colour of its gradient where there is one.
function paint(g, state, fill) {
  const key = `${state.todo}|${state.now}|${state.part}|${state.pinned}|${state.changed}|${fill}`;
  if (g.painted === key) return;
  g.painted = key;
  g.classList.toggle("todo", state.todo);
  g.classList.toggle("now", state.now);
  g.classList.toggle("part", state.part);
  g.classList.toggle("pinned", state.pinned);
  g.classList.toggle("changed", Boolean(state.changed));
  g.classList.toggle("hot", Boolean(fill));
  const shape = g.querySelector(".s");
  shape.style.fill = fill ? fill[0] : "";
  g.querySelectorAll("text").forEach((t) => { t.style.fill = fill ? fill[1] : ""; });
}

// A curve over a box: values on a linear or log axis, with a marker; x runs over 0 … 1.
class Curve {
  constructor(svg) {
    this.svg = svg;
    this.shown = "";
  }

  // series: [{xs (0…1), ys, kind}], drawn once as long as ``key`` stays the same.
  draw(key, series, log, unit) {
    const [across, down] = room_of(this.svg), width = Math.max(across, 300), height = down || 72;
    const full = `${key}|${width}|${height}|${log}`;
    if (full === this.shown) return;
    this.shown = full;
    this.log = log;
    const all = series.flatMap((s) => Array.from(s.ys)), left = 52, right = 12, top = 8, foot = 6;
    const [low, high] = log ? decades(all) : [0, all.reduce((a, b) => (Number.isFinite(b) ? Math.max(a, b) : a), 0) || 1];
    this.x = (at) => left + at * (width - left - right);
    this.y = (v) => {
      const share = log ? (Math.log10(Math.max(v, low)) - Math.log10(low)) / (Math.log10(high) - Math.log10(low)) : v / high;
      return height - foot - Math.min(Math.max(share, 0), 1) * (height - top - foot);
    };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren();
    for (const [v, text] of [[low, log ? `10${raise(Math.round(Math.log10(low)))}` : "0"], [high, unit ? unit(high) : log ? `10${raise(Math.round(Math.log10(high)))}` : show(high, 3)]]) {
      const y = this.y(v);
      this.svg.append(drawn("line", { class: "axis", x1: left, x2: width - right, y1: y, y2: y }));
      this.svg.append(drawn("text", { class: "tick", x: left - 6, y: y + 4 }, text));
    }
    series.forEach((s, number) => this.line(s, number));
    this.reach = drawn("rect", { class: "reach", y: top - 4, height: height - top - foot + 8, x: 0, width: 0 });
    this.marker = drawn("line", { class: "marker", y1: 2, y2: height - 2, x1: left, x2: left });
    this.svg.prepend(this.reach);
    this.svg.append(this.marker);
    this.dots = this.svg.querySelectorAll("circle.of0");
  }

  line(s, number) {
    let path = "", pen = false;
    for (let i = 0; i < s.xs.length; i++) {
      const good = Number.isFinite(s.ys[i]);
      if (good) path += `${pen ? "L" : "M"}${this.x(s.xs[i]).toFixed(1)},${this.y(s.ys[i]).toFixed(1)}`;
      pen = good;
    }
    if (s.area && path) {
      const base = this.y(0).toFixed(1);
      this.svg.append(drawn("path", { class: "area", d: `${path}L${this.x(1).toFixed(1)},${base}L${this.x(0).toFixed(1)},${base}Z` }));
    }
    this.svg.append(drawn("path", { class: `line of${number} ${s.kind ?? ""}`, d: path || "M0,0" }));
    if (s.dots && s.xs.length <= 260) {
      for (let i = 0; i < s.xs.length; i++) {
        const good = Number.isFinite(s.ys[i]);
        this.svg.append(drawn("circle", {
          class: `of${number}${good ? (this.log && s.ys[i] === 0 ? " zero" : "") : " bad"}`, r: s.xs.length > 120 ? 1.8 : 2.6, cx: this.x(s.xs[i]).toFixed(1), cy: (good ? this.y(s.ys[i]) : 12).toFixed(1),
        }));
      }
    }
  }

  mark(at) {
    const x = this.x(Math.min(Math.max(at, 0), 1));
    this.marker.setAttribute("x1", x);
    this.marker.setAttribute("x2", x);
  }

  // Shade a stretch of the axis.
  shade(from, to) {
    const a = this.x(Math.max(from, 0)), b = this.x(Math.min(to, 1));
    this.reach.setAttribute("x", a);
    this.reach.setAttribute("width", Math.max(b - a, 2));
  }
}
