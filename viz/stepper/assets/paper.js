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
