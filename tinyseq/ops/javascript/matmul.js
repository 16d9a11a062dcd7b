{
  // y[i, j] = Σ_p a[i, p] b[p, j]
  forward(y, [a, b], site) {
    const { batch, m, n, k, aRow, aColumn, bRow, bColumn } = productLayout(site);
    for (let r = 0; r < batch; r++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let total = 0;
          for (let p = 0; p < k; p++) total += a[r * m * k + i * aRow + p * aColumn] * b[r * k * n + p * bRow + j * bColumn];
          y[(r * m + i) * n + j] = total;
        }
      }
    }
  },
  vjp: [
    // a[i, p] += Σ_j g[i, j] b[p, j]
    (out, g, [, b], y, site) => {
      const { batch, m, n, k, aRow, aColumn, bRow, bColumn } = productLayout(site);
      for (let r = 0; r < batch; r++) {
        for (let i = 0; i < m; i++) {
          for (let p = 0; p < k; p++) {
            let total = 0;
            for (let j = 0; j < n; j++) total += g[(r * m + i) * n + j] * b[r * k * n + p * bRow + j * bColumn];
            out[r * m * k + i * aRow + p * aColumn] += total;
          }
        }
      }
    },
    // b[p, j] += Σ_i a[i, p] g[i, j]
    (out, g, [a], y, site) => {
      const { batch, m, n, k, aRow, aColumn, bRow, bColumn } = productLayout(site);
      for (let r = 0; r < batch; r++) {
        for (let p = 0; p < k; p++) {
          const from = r * m * k + p * aColumn, to = r * k * n + p * bRow;
          for (let j = 0; j < n; j++) {
            let total = a[from] * g[r * m * n + j];
            for (let i = 1; i < m; i++) total += a[from + i * aRow] * g[(r * m + i) * n + j];
            if (m) out[to + j * bColumn] += total;
          }
        }
      }
    },
  ],
}
