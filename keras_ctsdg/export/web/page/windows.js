// The windows of a photo that the network sees, as `keras_ctsdg.inpainting` plans them
// for a network of one size. A box is [top, left, bottom, right].

const CROP_SIDES = [256, 384, 512, 768, 1024];
const MIN_MARGIN = 64;
const CELL = 32;
// Parts of a scratch are surrounded by intact pixels, those of a blot are not.
const MAX_SCRATCH_RATIO = 0.25;

// Returns a list of {box, region, scale}: the network sees the box, shrunk by `scale`,
// and what it fills in the region is used.
export function planWindows(hole, shape, size) {
  if (fits(shape, size)) {
    const whole = [0, 0, ...shape];
    return [{ box: whole, region: whole, scale: 1 }];
  }
  const fitting = [];
  const tooLarge = [];
  for (const region of findRegions(hole, shape)) {
    split(region, hole, shape, size, fitting, tooLarge);
  }
  const windows = merge(fitting, shape, size).map((region) => {
    return { box: widen(cropBox(region, shape), shape, size), region, scale: 1 };
  });
  for (const region of tooLarge) {
    const box = cropBox(region, shape);
    const [height, width] = lengths(box);
    const scale = Math.min(1, size[0] / height, size[1] / width);
    windows.push({ box, region, scale });
  }
  return windows.sort((a, b) => compare(a.region, b.region));
}

function lengths([top, left, bottom, right]) {
  return [bottom - top, right - left];
}

function fits(shape, size) {
  return shape[0] <= size[0] && shape[1] <= size[1];
}

function compare(a, b) {
  const i = a.findIndex((value, i) => value !== b[i]);
  return i < 0 ? 0 : a[i] - b[i];
}

function cropSpan(start, end, length) {
  const margin = Math.max(MIN_MARGIN, Math.floor((end - start) / 4));
  const wanted = end - start + 2 * margin;
  const side =
    CROP_SIDES.find((x) => x >= wanted) ??
    Math.ceil(wanted / CROP_SIDES[0]) * CROP_SIDES[0];
  return centerSpan(start, end, side, length);
}

function centerSpan(start, end, side, length) {
  if (side >= length) return [0, length];
  const centered = Math.max(0, Math.floor((start + end - side) / 2));
  const first = Math.min(centered, length - side);
  return [first, first + side];
}

function cropBox([top, left, bottom, right], [height, width]) {
  const [y0, y1] = cropSpan(top, bottom, height);
  const [x0, x1] = cropSpan(left, right, width);
  return [y0, x0, y1, x1];
}

function widen([top, left, bottom, right], [height, width], size) {
  const [y0, y1] = centerSpan(top, bottom, size[0], height);
  const [x0, x1] = centerSpan(left, right, size[1], width);
  return [y0, x0, y1, x1];
}

// The smallest box of the hole within a box, or null.
function shrink(hole, width, [top, left, bottom, right]) {
  const found = [bottom, right, -1, -1];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (!hole[y * width + x]) continue;
      found[0] = Math.min(found[0], y);
      found[1] = Math.min(found[1], x);
      found[2] = Math.max(found[2], y + 1);
      found[3] = Math.max(found[3], x + 1);
    }
  }
  return found[2] < 0 ? null : found;
}

// The boxes of holes; holes within a cell of each other share a box.
function findRegions(hole, [height, width]) {
  const rows = Math.ceil(height / CELL);
  const columns = Math.ceil(width / CELL);
  const cells = new Uint8Array(rows * columns);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / CELL) * columns;
    for (let x = 0; x < width; x++) {
      if (hole[y * width + x]) cells[row + Math.floor(x / CELL)] = 1;
    }
  }
  const regions = [];
  for (let start = 0; start < cells.length; start++) {
    if (!cells[start]) continue;
    const box = [rows, columns, 0, 0];
    const pending = [start];
    cells[start] = 0;
    while (pending.length) {
      const cell = pending.pop();
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      box[0] = Math.min(box[0], row);
      box[1] = Math.min(box[1], column);
      box[2] = Math.max(box[2], row + 1);
      box[3] = Math.max(box[3], column + 1);
      for (let y = Math.max(0, row - 1); y < Math.min(rows, row + 2); y++) {
        for (let x = Math.max(0, column - 1); x < Math.min(columns, column + 2); x++) {
          if (!cells[y * columns + x]) continue;
          cells[y * columns + x] = 0;
          pending.push(y * columns + x);
        }
      }
    }
    const [top, left, bottom, right] = box.map((x) => x * CELL);
    const inside = [top, left, Math.min(bottom, height), Math.min(right, width)];
    regions.push(shrink(hole, width, inside));
  }
  return regions;
}

// Halve a region, if it is a scratch, until its pieces fit the network.
function split(region, hole, shape, size, fitting, tooLarge) {
  if (fits(lengths(cropBox(region, shape)), size)) {
    fitting.push(region);
    return;
  }
  const [top, left, bottom, right] = region;
  const [height, width] = lengths(region);
  const isNarrow = Math.min(height, width) <= 2 * MIN_MARGIN;
  const isScratch = isNarrow || holeRatio(region, hole, shape) <= MAX_SCRATCH_RATIO;
  if (!isScratch || Math.max(height, width) <= CELL) {
    tooLarge.push(region);
    return;
  }
  const y = top + Math.floor(height / 2);
  const x = left + Math.floor(width / 2);
  const halves =
    height >= width
      ? [[top, left, y, right], [y, left, bottom, right]]
      : [[top, left, bottom, x], [top, x, bottom, right]];
  for (const half of halves) {
    const box = shrink(hole, shape[1], half);
    if (box) split(box, hole, shape, size, fitting, tooLarge);
  }
}

function holeRatio([top, left, bottom, right], hole, [height, width]) {
  const y0 = Math.max(0, top - MIN_MARGIN);
  const x0 = Math.max(0, left - MIN_MARGIN);
  const y1 = Math.min(height, bottom + MIN_MARGIN);
  const x1 = Math.min(width, right + MIN_MARGIN);
  let count = 0;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) count += hole[y * width + x];
  }
  return count / ((y1 - y0) * (x1 - x0));
}

// Merge regions whose crops overlap, as long as the result fits the network.
function merge(regions, shape, size) {
  const merged = [];
  const pending = [...regions];
  while (pending.length) {
    const region = pending.pop();
    const crop = cropBox(region, shape);
    const i = merged.findIndex((other) => {
      const both = cropBox(union(region, other), shape);
      return overlap(crop, cropBox(other, shape)) && fits(lengths(both), size);
    });
    if (i < 0) merged.push(region);
    else pending.push(union(region, ...merged.splice(i, 1)));
  }
  return merged;
}

function overlap(a, b) {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

function union(a, b) {
  return a.map((x, i) => (i < 2 ? Math.min : Math.max)(x, b[i]));
}
