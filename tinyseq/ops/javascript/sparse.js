{
  // y[r, i] = Σ_p values[p] x[r, columns[p]], p of row i
  forward(y, [x, values, columns, starts], { shapes, shape }) {
    const [rows, n] = shape, width = shapes[0][1];
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < n; i++) {
        let total = 0;
        for (let p = starts[i]; p < starts[i + 1]; p++) total += values[p] * x[r * width + columns[p]];
        y[r * n + i] = total;
      }
    }
  },
  vjp: [
    (out, g, [, values, columns, starts], y, { shapes, shape }) => {
      const [rows, n] = shape, width = shapes[0][1];
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < n; i++) {
          for (let p = starts[i]; p < starts[i + 1]; p++) out[r * width + columns[p]] += values[p] * g[r * n + i];
        }
      }
    },
    (out, g, [x, , columns, starts], y, { shapes, shape }) => {
      const [rows, n] = shape, width = shapes[0][1];
      for (let r = 0; r < rows; r++) {
        for (let i = 0; i < n; i++) {
          for (let p = starts[i]; p < starts[i + 1]; p++) out[p] += x[r * width + columns[p]] * g[r * n + i];
        }
      }
    },
    null,
    null,
  ],
}
