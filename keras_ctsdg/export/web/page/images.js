// Photos in, PNGs out, with every pixel as it was stored.

const MAX_PIXELS = 64e6;

// Decode a photo. Returns {width, height, data, preview}: RGBA, upright, 8 bits a
// channel, and a canvas of it that is small enough to paint on.
export async function readPhoto(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name} cannot be read as an image by this browser.`);
  }
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    throw tooLarge(width, height);
  }
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  let { data } = context.getImageData(0, 0, width, height);
  // Browsers leave canvases empty that are larger than they can be.
  if (!data.some(Boolean)) throw tooLarge(width, height);
  // Such a canvas rounds the colors of transparent pixels, and WebGL does not.
  if (hasAlpha(data)) data = readWithWebGL(bitmap) ?? data;
  const preview = makePreview(canvas);
  bitmap.close();
  return { width, height, data, preview };
}

export function hasAlpha(data) {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return true;
  return false;
}

// The opacity of what is painted on a canvas, at another size. Returns a Uint8Array
// of 0 and 1 for each pixel.
export function readHole(strokes, width, height) {
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(strokes, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const hole = new Uint8Array(width * height);
  for (let i = 0; i < hole.length; i++) hole[i] = data[4 * i + 3] > 127 ? 1 : 0;
  return hole;
}

export function toBlob(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// Encode RGBA as a PNG, without the rounding of a canvas. Returns a Blob.
export async function encodePng({ width, height, data }) {
  const channels = hasAlpha(data) ? 4 : 3;
  const stride = width * channels + 1;
  const rows = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const start = y * stride;
    // The filter "Up", or "None" for the first row: differences compress better.
    rows[start] = y ? 2 : 0;
    for (let x = 0; x < width; x++) {
      const from = 4 * (y * width + x);
      for (let c = 0; c < channels; c++) {
        const above = y ? data[from - 4 * width + c] : 0;
        rows[start + 1 + x * channels + c] = data[from + c] - above;
      }
    }
  }
  const deflate = new CompressionStream("deflate");
  const compressed = new Blob([rows]).stream().pipeThrough(deflate);
  const body = new Uint8Array(await new Response(compressed).arrayBuffer());
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 4 ? 6 : 2], 8);
  const parts = [
    new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
    makeChunk("IHDR", header),
    makeChunk("IDAT", body),
    makeChunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function tooLarge(width, height) {
  return new Error(`A photo of ${width} × ${height} pixels is too large for this page.`);
}

const PREVIEW_SIZE = 1024;

function makePreview(photo) {
  const scale = Math.min(1, PREVIEW_SIZE / Math.max(photo.width, photo.height));
  const width = Math.max(1, Math.round(photo.width * scale));
  const height = Math.max(1, Math.round(photo.height * scale));
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, width, height);
  return canvas;
}

// Returns RGBA, or null where WebGL is missing or takes no image of this size.
function readWithWebGL(bitmap) {
  const { width, height } = bitmap;
  const gl = document.createElement("canvas").getContext("webgl");
  const longest = gl?.getParameter(gl.MAX_TEXTURE_SIZE) ?? 0;
  if (Math.max(width, height) > longest) return null;
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  const target = [gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D];
  gl.framebufferTexture2D(...target, texture, 0);
  const data = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  const failed = gl.getError() !== gl.NO_ERROR;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : data;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value;
});

function makeChunk(type, body) {
  const chunk = new Uint8Array(body.length + 12);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length);
  chunk.set(new TextEncoder().encode(type), 4);
  chunk.set(body, 8);
  let crc = 0xffffffff;
  for (let i = 4; i < body.length + 8; i++) {
    crc = CRC_TABLE[(crc ^ chunk[i]) & 255] ^ (crc >>> 8);
  }
  view.setUint32(body.length + 8, ~crc >>> 0);
  return chunk;
}
