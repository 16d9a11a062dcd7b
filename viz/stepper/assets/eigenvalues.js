// Eigenvalues of a real square matrix: Hessenberg form by elimination, then the QR algorithm with Wilkinson's shifts, on
// complex numbers [re, im] (Golub and Van Loan, Matrix Computations, 7.4 and 7.5).
const plus = (a, b) => [a[0] + b[0], a[1] + b[1]], minus_ = (a, b) => [a[0] - b[0], a[1] - b[1]];
const times = (a, b) => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
const conjugate = (a) => [a[0], -a[1]], modulus = (a) => Math.hypot(a[0], a[1]);

function root(a) {
  const r = Math.sqrt((modulus(a) + Math.abs(a[0])) / 2);
  if (r === 0) return [0, 0];
  return a[0] >= 0 ? [r, a[1] / (2 * r)] : [Math.abs(a[1]) / (2 * r), a[1] < 0 ? -r : r];
}

function hessenberg(numbers, n) {
  const a = Array.from({ length: n }, (_, i) => Array.from(numbers.subarray(i * n, (i + 1) * n)));
  for (let m = 1; m < n - 1; m++) {
    let pivot = m;
    for (let i = m; i < n; i++) if (Math.abs(a[i][m - 1]) > Math.abs(a[pivot][m - 1])) pivot = i;
    if (a[pivot][m - 1] === 0) continue;
    [a[m], a[pivot]] = [a[pivot], a[m]];
    for (const row of a) [row[m], row[pivot]] = [row[pivot], row[m]];
    for (let i = m + 1; i < n; i++) {
      const y = a[i][m - 1] / a[m][m - 1];
      if (y === 0) continue;
      for (let j = m - 1; j < n; j++) a[i][j] -= y * a[m][j];
      for (const row of a) row[m] += y * row[i];
    }
  }
  return a.map((row) => row.map((x) => [x, 0]));
}

// The eigenvalue of the last two by two block that lies nearer to its last element.
function shift_of(h, k) {
  const [a, b, c, d] = [h[k - 1][k - 1], h[k - 1][k], h[k][k - 1], h[k][k]], half = [(a[0] - d[0]) / 2, (a[1] - d[1]) / 2];
  const r = root(plus(times(half, half), times(b, c))), middle = [(a[0] + d[0]) / 2, (a[1] + d[1]) / 2];
  const [one, two] = [plus(middle, r), minus_(middle, r)];
  return modulus(minus_(one, d)) < modulus(minus_(two, d)) ? one : two;
}

function qr_step(h, low, high, mu) {
  const turns = [];
  for (let k = low; k <= high; k++) h[k][k] = minus_(h[k][k], mu);
  for (let k = low; k < high; k++) {
    const r = Math.hypot(modulus(h[k][k]), modulus(h[k + 1][k])) || 1, c = h[k][k].map((x) => x / r), s = h[k + 1][k].map((x) => x / r);
    const unit = modulus(c) || modulus(s) ? [c, s] : [[1, 0], [0, 0]];
    turns.push(unit);
    for (let j = k; j <= high; j++) {
      const [x, y] = [h[k][j], h[k + 1][j]];
      h[k][j] = plus(times(conjugate(unit[0]), x), times(conjugate(unit[1]), y));
      h[k + 1][j] = minus_(times(unit[0], y), times(unit[1], x));
    }
  }
  turns.forEach(([c, s], i) => {
    const k = low + i;
    for (let r = low; r <= Math.min(k + 1, high); r++) {
      const [x, y] = [h[r][k], h[r][k + 1]];
      h[r][k] = plus(times(x, c), times(y, s));
      h[r][k + 1] = minus_(times(y, conjugate(c)), times(x, conjugate(s)));
    }
  });
  for (let k = low; k <= high; k++) h[k][k] = plus(h[k][k], mu);
}

// All eigenvalues [re, im] of n × n numbers; null where some are not finite, or too large for the way to them.
function eigenvalues(numbers, n) {
  if (!numbers.every(Number.isFinite)) return null;
  const h = hessenberg(numbers, n), found = [];
  let high = n - 1;
  for (let tries = 0; high > 0 && tries < 40 * n; tries++) {
    let low = high;
    while (low > 0 && modulus(h[low][low - 1]) > Number.EPSILON * (modulus(h[low][low]) + modulus(h[low - 1][low - 1]))) low--;
    if (low === high) {
      found.push(h[high][high]);
      high--;
      continue;
    }
    const odd = tries % 11 === 10 ? [modulus(h[high][high - 1]), modulus(h[high][high - 1])] : null; // out of a cycle
    qr_step(h, low, high, odd ?? shift_of(h, high));
  }
  for (; high >= 0; high--) found.push(h[high][high]);
  return found.every((v) => Number.isFinite(modulus(v))) ? found : null;
}

const radius_of = (values) => (values ? values.reduce((most, v) => Math.max(most, modulus(v)), 0) : NaN);
