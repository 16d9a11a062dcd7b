{
  forward(y, [x], { shape }) {
    const width = shape[shape.length - 1];
    for (let r = 0; r < y.length; r += width) {
      const top = largest(x, r, width), total = exponentialTotal(x, r, width, top);
      for (let i = r; i < r + width; i++) y[i] = exp(x[i] - top) / total;
    }
  },
  vjp: [
    (out, g, x, y, { shape }) => {
      const width = shape[shape.length - 1];
      for (let r = 0; r < y.length; r += width) {
        let inner = 0;
        for (let i = r; i < r + width; i++) inner += g[i] * y[i];
        if (inner !== inner && unread(g, r, width)) continue;
        for (let i = r; i < r + width; i++) out[i] += y[i] * (g[i] - inner);
      }
    },
  ],
}
