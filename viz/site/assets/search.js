// Search in the page: every word has to be there; titles count more than text. Nothing is asked of a network.
(() => {
  const strip = document.querySelector("header.site nav"), part = strip.querySelector("[aria-current]"); // on a phone the parts stand in one line
  if (part) strip.scrollLeft = part.offsetLeft - (strip.clientWidth - part.offsetWidth) / 2;
  const field = document.getElementById("find"), list = document.getElementById("found"), up = document.body.dataset.up;
  const fold = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  const pages = (window.SEARCH ?? []).map((page) => ({ ...page, head: fold(page.title), body: fold(page.text) }));

  function hits(words) {
    return pages
      .map((page) => ({ page, score: words.reduce((sum, w) => sum + (page.head.includes(w) ? 10 : page.body.includes(w) ? 1 : -1e6), 0) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score)
      .slice(0, 12);
  }

  function show() {
    const words = fold(field.value).split(/\s+/).filter(Boolean), found = words.length ? hits(words) : [];
    list.hidden = !words.length;
    list.replaceChildren(...(found.length ? found.map(({ page }) => {
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = up + page.path;
      link.textContent = page.title;
      item.append(link);
      return item;
    }) : [Object.assign(document.createElement("li"), { textContent: "Nothing has all these words." })]));
  }

  field.addEventListener("input", show);
  document.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (event.key === "Escape") { list.hidden = true; field.blur(); }
    else if (event.key === "/" && !/INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) { event.preventDefault(); field.focus(); }
    else if (links.length && (at >= 0 || event.target === field) && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const next = at + (event.key === "ArrowDown" ? 1 : -1);
      (links[next] ?? field).focus();
    }
  });
})();
