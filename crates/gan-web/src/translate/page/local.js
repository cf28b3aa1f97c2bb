// The model in this browser: a thread of its own runs it, and nothing is sent anywhere.
const byId = id => document.getElementById(id);
const wait = seconds => new Promise(done => setTimeout(done, seconds * 1000));
const reason = error => error.message;
const megabytes = bytes => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly on one thread" };

/// A thread with the model. What it is asked it answers in order.
class Runner {
  constructor(progress) {
    this.worker = new Worker("worker.js", { type: "module" });
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data }) => {
      if (data.loaded !== undefined) return progress(data.loaded);
      const { done, fail } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) done(data); else fail(new Error(data.error));
    };
    // A thread that cannot start, or that ends, answers nothing.
    this.worker.onerror = event => {
      event.preventDefault();
      for (const { fail } of this.waiting.values()) fail(new Error(event.message || "worker.js cannot be started"));
      this.waiting.clear();
    };
  }

  ask(question, transferred = []) {
    const id = this.count++;
    return new Promise((done, fail) => {
      this.waiting.set(id, { done, fail });
      this.worker.postMessage({ id, ...question }, transferred);
    });
  }
}

let runner, opened;
const askModels = () => (opened ??= loadModel());

async function loadModel() {
  if (location.protocol === "file:") {
    throw new Error("Browsers load no model from a page that was opened as a file. Serve the folder, for example with “python3 -m http.server” in it, and open http://localhost:8000.");
  }
  const response = await fetch("description.json").catch(() => null);
  if (!response?.ok) throw new Error(`description.json cannot be loaded${response ? `: the host answers ${response.status}` : ""}.`);
  const description = await response.json();
  const { model, limits, files, backends } = description;
  document.title = byId("title").textContent = model.name;
  const failed = [];
  for (const backend of await candidates(backends)) {
    const bytes = files["model.onnx"] + files[backend.script] + files[backend.binary];
    let loaded = 0;
    const attempt = new Runner(more => {
      loaded += more;
      byId("about").textContent = loaded < bytes * 0.99 ? `Loading the model: ${megabytes(loaded)} of ${megabytes(bytes)} …` : "Preparing the model …";
    });
    try {
      await attempt.ask({ open: { description, backend } });
      runner = attempt;
      const whole = Object.values(files).reduce((sum, bytes) => sum + bytes, 0);
      const because = failed.length ? ` (not with ${failed.join("; ")})` : "";
      byId("engine").textContent = `Computes in this browser with ${NAMES[backend.name]}${because}. It loaded ${megabytes(bytes)}: the model ${megabytes(files["model.onnx"])}, `
        + `${description.runtime} ${megabytes(bytes - files["model.onnx"])}; the folder has ${megabytes(whole)}. Images stay on this device.`;
      byId("engine").dataset.backend = backend.name;
      return { models: [model], ...limits };
    } catch (error) {
      attempt.worker.terminate();
      failed.push(`${NAMES[backend.name]}: ${error.message}`);
    }
  }
  throw new Error(`The model cannot be loaded. ${failed.join("; ") || "The folder has no such backend."}`);
}

/// What may run the model here, the fastest first. `?backend=wasm` or `?backend=webgpu` in the address chooses.
async function candidates(backends) {
  const asked = new URLSearchParams(location.search).get("backend");
  if (asked) return backends.filter(({ name }) => name === asked);
  // A GPU that the processor imitates is slower than WebAssembly.
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const gpu = adapter && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  return backends.filter(({ name }) => name !== "webgpu" || gpu);
}

/// The translated image as a blob, and the milliseconds that the model took.
async function translate(query, body) {
  const begun = performance.now();
  const made = await run(state.way === "draw" && state.model.draw.tool === "labels" ? ofBoard() : await ofImage(body));
  const ms = performance.now() - begun;
  const canvas = Object.assign(document.createElement("canvas"), { width: made.width, height: made.height });
  canvas.getContext("2d").putImageData(made, 0, 0);
  return { blob: await new Promise(done => canvas.toBlob(done, "image/png")), ms };
}

/// The result for an input, as `ImageData`.
async function run({ width, height, samples }) {
  const { pixels } = await runner.ask({ width, height, samples }, [samples.buffer]);
  return new ImageData(new Uint8ClampedArray(pixels), width, height);
}

/// The drawn label map as ids.
function ofBoard() {
  const ids = board.palette.map(({ id }) => id);
  return { width: board.width, height: board.height, samples: Int32Array.from(board.map, index => ids[index]) };
}

/// An image file as RGBA. Colour profiles are left out, as `gan-cli translate` leaves them out.
async function ofImage(file) {
  if (state.model.input.kind === "labels") {
    throw new Error("That is no label map that the canvas can hold: it takes grey PNG files of the model's label ids, up to 255.");
  }
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => null);
  if (!bitmap) throw new Error("The browser cannot read that image.");
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return ofCanvas(canvas, context);
}

function ofCanvas({ width, height }, context) {
  return { width, height, samples: context.getImageData(0, 0, width, height).data };
}
