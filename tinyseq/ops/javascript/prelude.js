// What the ops' scripts call: sizes, elementary functions with the limits of the kernels, and walks over arrays.
const sizeOf = (shape) => shape.reduce((n, m) => n * m, 1);
const { exp, log, sqrt, tanh, abs } = Math;
const sigmoid = (x) => 1 / (1 + exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(exp(-abs(x)));

// C's pow: 1 to anything, and −1 to an infinity, is 1.
function power(a, b) {
  return a === 1 || (a === -1 && abs(b) === Infinity) ? 1 : Math.pow(a, b);
}

// An array as (outer, reduced, inner), reduced over neighbouring axes.
function extentOf({ attrs, shapes }) {
  const [first, last] = attrs.axes, shape = shapes[0];
  return [sizeOf(shape.slice(0, first)), sizeOf(shape.slice(first, last)), sizeOf(shape.slice(last))];
}

// For each element of an array of a shape, in order, the place that strides give it.
function eachStrided(shape, strides, visit) {
  const count = sizeOf(shape), at = shape.map(() => 0);
  let place = 0;
  for (let i = 0; i < count; i++) {
    visit(i, place);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += strides[axis];
      if (++at[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      at[axis] = 0;
    }
  }
}

const rowMajor = (shape) => shape.map((_, i) => sizeOf(shape.slice(i + 1)));
const transposedStrides = ({ attrs, shapes }) => attrs.axes.map((axis) => rowMajor(shapes[0])[axis]);

// Strides that read an array as a larger one: 0 where an axis is repeated.
function expandedStrides({ shapes, shape }) {
  const given = shapes[0], missing = shape.length - given.length, strides = rowMajor(given);
  return shape.map((_, i) => (i < missing || given[i - missing] === 1 ? 0 : strides[i - missing]));
}

// Where the parts of a join lie: [rows, width of the whole, widths of the parts].
function joinedWidths({ attrs, shapes, shape }) {
  if (attrs.axis === undefined || attrs.axis === null) return [1, sizeOf(shape), shapes.map(sizeOf)];
  const inner = sizeOf(shape.slice(attrs.axis + 1));
  return [sizeOf(shape.slice(0, attrs.axis)), shape[attrs.axis] * inner, shapes.map((s) => s[attrs.axis] * inner)];
}

function join(y, x, site) {
  const [rows, whole, widths] = joinedWidths(site);
  let start = 0;
  x.forEach((part, place) => {
    const width = widths[place];
    for (let r = 0; r < rows; r++) for (let i = 0; i < width; i++) y[r * whole + start + i] = part[r * width + i];
    start += width;
  });
}

function joinBack(out, g, x, y, site, place) {
  const [rows, whole, widths] = joinedWidths(site), width = widths[place];
  const start = widths.slice(0, place).reduce((a, b) => a + b, 0);
  for (let r = 0; r < rows; r++) for (let i = 0; i < width; i++) out[r * width + i] += g[r * whole + start + i];
}

// Largest of a stretch of an array; NaN wins.
function largest(x, from, count, step = 1) {
  let best = x[from];
  for (let j = 1; j < count; j++) {
    const value = x[from + j * step];
    if (!(value <= best) && best === best) best = value;
  }
  return best;
}

// Whether the gradient that reaches a row is 0, as that of a masked row is: so is then what the row passes on.
function unread(g, from, count) {
  for (let i = 0; i < count; i++) if (g[from + i] !== 0) return false;
  return true;
}

// Σ eˣ⁻ᵐ of a row, m its largest.
function exponentialTotal(x, from, count, top) {
  let total = 0;
  for (let i = 0; i < count; i++) total += exp(x[from + i] - top);
  return total;
}

// op(A) and op(B) of a product: sizes, and the strides of both.
function productLayout({ attrs, shapes, shape }) {
  const [a, b] = shapes, wideA = a[a.length - 1], wideB = b[b.length - 1];
  const [m, n] = shape.slice(-2), k = attrs.transpose_a ? a[a.length - 2] : wideA;
  return {
    batch: shape.length === 3 ? shape[0] : 1, m, n, k,
    aRow: attrs.transpose_a ? 1 : wideA, aColumn: attrs.transpose_a ? wideA : 1,
    bRow: attrs.transpose_b ? 1 : wideB, bColumn: attrs.transpose_b ? wideB : 1,
  };
}
