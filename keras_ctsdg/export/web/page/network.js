// The network, which a worker runs on the GPU or else on the CPU.

// The builds of ONNX Runtime Web, the fastest first. The CPU alone needs fewer bytes.
const BUILDS = {
  GPU: {
    build: "ort.jspi.min.mjs",
    wasm: "ort-wasm-simd-threaded.jspi",
    providers: ["webgpu", "wasm"],
    // Some GPUs take minutes to compile the network's programs.
    startLimit: 60_000,
  },
  CPU: {
    build: "ort.wasm.min.mjs",
    wasm: "ort-wasm-simd-threaded",
    providers: ["wasm"],
  },
};

export class Network {
  // description: the content of keras_ctsdg.json
  // onProgress: function of the bytes that are loaded, and of all
  constructor(description, onProgress) {
    this.description = description;
    this.onProgress = onProgress;
    this.size = [Number(description.height), Number(description.width)];
    this.loading = null;
  }

  // Load the network, once. Resolves to the name of what runs it.
  load() {
    this.loading ??= this.start().catch((error) => {
      this.stop();
      throw error;
    });
    return this.loading;
  }

  async start() {
    if (await hasWebGPU()) {
      try {
        return await this.startBuild("GPU");
      } catch (error) {
        console.warn(`The GPU is not used: ${error.message}`);
      }
    }
    return this.startBuild("CPU");
  }

  async startBuild(name) {
    this.worker?.terminate();
    // A worker from a blob obeys the policy of this page, one from a file does not.
    const script = new URL("worker.js", import.meta.url).href;
    const code = `import ${JSON.stringify(script)};`;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.worker = new Worker(url, { type: "module" });
    const { files } = this.description;
    const options = { ...BUILDS[name], model: "model.onnx" };
    const total = files[options.model] + files[`onnxruntime/${options.wasm}.wasm`];
    const [height, width] = this.size;
    const message = { options: { ...options, total, height, width } };
    const { device } = await this.ask(message, options.startLimit);
    URL.revokeObjectURL(url);
    return device;
  }

  // Fill one window. Resolves to RGB, a Uint8Array.
  async run(input) {
    await this.load();
    try {
      return (await this.ask(input)).filled;
    } catch (error) {
      // A worker that failed, for want of memory for example, may fail for ever.
      this.stop();
      throw error;
    }
  }

  stop() {
    this.worker?.terminate();
    this.worker = this.loading = null;
  }

  // Ask the worker. The answer may take `limit` milliseconds after the last progress.
  ask(message, limit) {
    const { worker } = this;
    return new Promise((resolve, reject) => {
      let timer;
      worker.onmessage = ({ data }) => {
        clearTimeout(timer);
        if (data.total && limit) {
          timer = setTimeout(() => reject(new Error("It starts too slowly.")), limit);
        }
        if (data.total) this.onProgress(data.loaded, data.total);
        else if (data.error) reject(new Error(data.error));
        else resolve(data);
      };
      worker.onerror = (event) => {
        reject(new Error(event.message || "The network's files cannot be loaded."));
      };
      worker.postMessage(message);
    });
  }
}

async function hasWebGPU() {
  // `?cpu` in the address leaves the GPU alone.
  if (new URLSearchParams(location.search).has("cpu")) return false;
  if (!navigator.gpu || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  // A fallback is a GPU that the CPU imitates, slowly.
  return adapter !== null && !(adapter.info ?? adapter).isFallbackAdapter;
}
