// Fills a photo window by window; all pixels outside the hole stay as they are.

import { planWindows } from "./windows.js";

// Fill the hole of a photo.
//   photo: {width, height, data}, RGBA, which is not changed
//   hole: Uint8Array, 1 in the hole
//   size: [height, width] that the network takes
//   run: async function of {image, mask}, Uint8Arrays of that size, that returns RGB
//   report: function of the number of windows that are filled, and of all
// Returns a copy of `photo` with the hole filled.
export async function fillPhoto(photo, hole, size, run, report) {
  const { width, height } = photo;
  const filled = { width, height, data: photo.data.slice() };
  const unfilled = hole.slice();
  const windows = planWindows(hole, [height, width], size);
  for (const [i, window] of windows.entries()) {
    report(i, windows.length);
    const input = readWindow(filled, unfilled, window, size);
    const result = await run({ image: input.image, mask: input.mask });
    // The next windows see the filled pixels as part of the photo.
    writeWindow(filled, unfilled, window, size, input.shape, result);
  }
  report(windows.length, windows.length);
  return filled;
}

// What the network sees: a window, shrunk if it must be, and mirrored up to its size.
function readWindow(photo, hole, { box, scale }, size) {
  const shape = [box[2] - box[0], box[3] - box[1]].map((length, i) =>
    Math.min(size[i], Math.max(1, Math.round(length * scale))),
  );
  const shrunk = shrinkBox(photo, hole, box, shape);
  const image = new Uint8Array(3 * size[0] * size[1]);
  const mask = new Uint8Array(size[0] * size[1]);
  for (let y = 0; y < size[0]; y++) {
    for (let x = 0; x < size[1]; x++) {
      const from = mirror(y, shape[0]) * shape[1] + mirror(x, shape[1]);
      const to = y * size[1] + x;
      mask[to] = shrunk.mask[from];
      for (let c = 0; c < 3; c++) image[3 * to + c] = shrunk.image[3 * from + c];
    }
  }
  return { image, mask, shape };
}

function mirror(index, length) {
  const period = Math.max(1, 2 * length - 2);
  index %= period;
  return Math.min(index, period - index);
}

// The mean of the pixels of a box that are known, for each pixel of a smaller image; a
// pixel that covers any part of the hole belongs to the hole.
function shrinkBox(photo, hole, [top, left, bottom, right], [height, width]) {
  const image = new Uint8Array(3 * height * width);
  const mask = new Uint8Array(height * width);
  const edges = (start, end, count) =>
    Array.from({ length: count + 1 }, (_, i) =>
      Math.round(start + ((end - start) * i) / count),
    );
  const ys = edges(top, bottom, height);
  const xs = edges(left, right, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sum = [0, 0, 0];
      let known = 0;
      for (let v = ys[y]; v < ys[y + 1]; v++) {
        for (let u = xs[x]; u < xs[x + 1]; u++) {
          const from = v * photo.width + u;
          if (hole[from]) {
            mask[y * width + x] = 1;
            continue;
          }
          known++;
          for (let c = 0; c < 3; c++) sum[c] += photo.data[4 * from + c];
        }
      }
      const to = 3 * (y * width + x);
      if (known) for (let c = 0; c < 3; c++) image[to + c] = Math.round(sum[c] / known);
    }
  }
  return { image, mask };
}

function writeWindow(photo, unfilled, { box, region }, size, shape, result) {
  const [top, left, bottom, right] = region;
  const [scaleY, scaleX] = [shape[0] / (box[2] - box[0]), shape[1] / (box[3] - box[1])];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const to = y * photo.width + x;
      if (!unfilled[to]) continue;
      unfilled[to] = 0;
      const v = (y - box[0] + 0.5) * scaleY - 0.5;
      const u = (x - box[1] + 0.5) * scaleX - 0.5;
      for (let c = 0; c < 3; c++) {
        photo.data[4 * to + c] = interpolate(result, size[1], shape, v, u, c);
      }
    }
  }
}

// The value of a channel between four pixels; that of a pixel where it lies on one.
function interpolate(image, stride, [height, width], y, x, channel) {
  y = Math.min(Math.max(y, 0), height - 1);
  x = Math.min(Math.max(x, 0), width - 1);
  const [y0, x0] = [Math.floor(y), Math.floor(x)];
  const [y1, x1] = [Math.min(y0 + 1, height - 1), Math.min(x0 + 1, width - 1)];
  const at = (row, column) => image[3 * (row * stride + column) + channel];
  const above = at(y0, x0) * (x0 + 1 - x) + at(y0, x1) * (x - x0);
  const below = at(y1, x0) * (x0 + 1 - x) + at(y1, x1) * (x - x0);
  return Math.round(above * (y0 + 1 - y) + below * (y - y0));
}
