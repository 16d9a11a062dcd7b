{
  forward(y, [x], site) {
    const [outer, reduced, inner] = extentOf(site);
    for (let r = 0; r < outer; r++) {
      for (let i = 0; i < inner; i++) {
        let total = 0;
        for (let j = 0; j < reduced; j++) total += x[(r * reduced + j) * inner + i];
        y[r * inner + i] = total / reduced;
      }
    }
  },
  vjp: [
    (out, g, x, y, site) => {
      const [outer, reduced, inner] = extentOf(site);
      for (let r = 0; r < outer; r++) {
        for (let j = 0; j < reduced; j++) {
          for (let i = 0; i < inner; i++) out[(r * reduced + j) * inner + i] += g[r * inner + i] / reduced;
        }
      }
    },
  ],
}
