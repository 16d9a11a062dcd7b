{
  forward(y, [table, index], { attrs, shapes }) {
    const width = index.length ? y.length / index.length : 0, columns = shapes[0][shapes[0].length - 1];
    for (let r = 0; r < index.length; r++) {
      for (let i = 0; i < width; i++) y[r * width + i] = table[attrs.axis ? i * columns + index[r] : index[r] * width + i];
    }
  },
  vjp: [
    (out, g, [, index], y, { attrs, shapes }) => {
      const width = index.length ? g.length / index.length : 0, columns = shapes[0][shapes[0].length - 1];
      for (let r = 0; r < index.length; r++) {
        for (let i = 0; i < width; i++) out[attrs.axis ? i * columns + index[r] : index[r] * width + i] += g[r * width + i];
      }
    },
    null,
  ],
}
