{
  forward(y, [x], { shape }) {
    const width = shape[shape.length - 1];
    for (let r = 0; r < y.length; r += width) {
      const top = largest(x, r, width), rest = log(exponentialTotal(x, r, width, top));
      for (let i = r; i < r + width; i++) y[i] = x[i] - top - rest;
    }
  },
  vjp: [
    (out, g, x, y, { shape }) => {
      const width = shape[shape.length - 1];
      for (let r = 0; r < y.length; r += width) {
        let total = 0;
        for (let i = r; i < r + width; i++) total += g[i];
        if (total === 0 && unread(g, r, width)) continue;
        for (let i = r; i < r + width; i++) out[i] += g[i] - exp(y[i]) * total;
      }
    },
  ],
}
