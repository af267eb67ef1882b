// The network in a thread of its own, so that the page stays responsive.
//
// It gets {image, mask}, Uint8Arrays of the size that the network takes, and answers
// with {filled} or {error}; before the first answer it sends {loaded, total}, bytes.

const here = (name) => new URL(name, import.meta.url).href;
let session = null;

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
  const names = [model, `onnxruntime/${wasm}.wasm`];
  const [bytes, wasmBinary] = await Promise.all(names.map((x) => download(x, progress)));
  const ort = await import(here(`onnxruntime/${build}`));
  // Several threads need a page that is isolated from other sites.
  ort.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  ort.env.wasm.wasmBinary = wasmBinary.buffer;
  ort.env.logLevel = "error";
  const network = await ort.InferenceSession.create(bytes, {
    executionProviders: providers,
    logSeverityLevel: 3,
  });
  const run = async (image, mask) => {
    const tensor = (data, channels) =>
      new ort.Tensor("uint8", data, [1, height, width, channels]);
    const inputs = { image: tensor(image, 3), mask: tensor(mask, 1) };
    const { filled } = await network.run(inputs, ["filled"]);
    return filled.getData();
  };
  // What a GPU cannot do is known before it is relied on.
  if (providers[0] !== "wasm") {
    const mask = new Uint8Array(height * width).fill(1, 9);
    await run(new Uint8Array(3 * height * width), mask);
  }
  return run;
}

onmessage = async ({ data }) => {
  try {
    if (data.options) {
      session = load(data.options);
      await session;
      postMessage({ ready: true });
    } else {
      const run = await session;
      postMessage({ filled: await run(data.image, data.mask) });
    }
  } catch (error) {
    postMessage({ error: error?.message ?? String(error) });
  }
};
