// The network in a thread of its own, so that the page stays responsive.
//
// First it gets {options}, sends {loaded, total}, bytes, and answers with {device},
// "GPU" or "CPU". Then it gets {image, mask}, Uint8Arrays of the size that the network takes,
// and answers with {filled}. In place of an answer it may send {error}.

const here = (name) => new URL(name, import.meta.url).href;
let network = null;

// Download a file. Returns a Uint8Array.
async function download(name, progress) {
  const response = await fetch(here(name));
  if (!response.ok) throw new Error(`${name} is missing: ${response.status}`);
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    progress.loaded += value.length;
    postMessage(progress);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function load({ build, model, wasm, providers, total, height, width }) {
  const progress = { loaded: 0, total };
  const [bytes, wasmBinary] = await Promise.all(
    [model, `onnxruntime/${wasm}.wasm`].map((name) => download(name, progress)),
  );
  const ort = await import(here(`onnxruntime/${build}`));
  // Several threads need a page that is isolated from other sites.
  ort.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  ort.env.wasm.wasmBinary = wasmBinary.buffer;
  ort.env.logLevel = "error";
  const create = async (executionProviders) => {
    const options = { executionProviders, logSeverityLevel: 3 };
    const session = await ort.InferenceSession.create(bytes, options);
    const tensor = (data, channels) =>
      new ort.Tensor("uint8", data, [1, height, width, channels]);
    return async ({ image, mask }) => {
      const inputs = { image: tensor(image, 3), mask: tensor(mask, 1) };
      const { filled } = await session.run(inputs, ["filled"]);
      return filled.getData();
    };
  };
  const onCPU = { device: "CPU", run: await create(["wasm"]) };
  if (!providers.includes("webgpu")) return onCPU;
  const onGPU = { device: "GPU", run: await create(providers) };
  const isBetter = await compare(onGPU.run, onCPU.run, makeSample(height, width));
  return isBetter ? onGPU : onCPU;
}

// Return whether a GPU fills as the CPU does, and faster: drivers differ.
async function compare(onGPU, onCPU, sample) {
  // The first run compiles the GPU's programs.
  const found = await onGPU(sample);
  const expected = await onCPU(sample);
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (found[i] - expected[i]) ** 2;
  const holeValues = 3 * sample.mask.reduce((count, x) => count + x, 0);
  // At least 45 dB in the hole, as the exported file itself was held to.
  if (sum / holeValues > 255 ** 2 / 10 ** 4.5) return false;
  return (await measure(onGPU, sample)) < (await measure(onCPU, sample));
}

async function measure(run, sample) {
  const start = performance.now();
  await run(sample);
  return performance.now() - start;
}

// Stripes and a disk with a hole in the middle.
function makeSample(height, width) {
  const image = new Uint8Array(3 * height * width);
  const mask = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const isDisk = Math.hypot(y - height / 2, x - width / 2) < height / 3;
      image.set([isDisk ? 200 : (x >> 4) * 9, (y * 4) & 255, isDisk ? 30 : 120], 3 * i);
      mask[i] = Math.abs(y - height / 2) < 20 && Math.abs(x - width / 3) < 40 ? 1 : 0;
    }
  }
  return { image, mask };
}

onmessage = async ({ data }) => {
  try {
    if (data.options) {
      network = await load(data.options);
      postMessage({ device: network.device });
    } else {
      postMessage({ filled: await network.run(data) });
    }
  } catch (error) {
    postMessage({ error: error?.message ?? String(error) });
  }
};
