// ONNX Runtime in a thread of its own: the page answers while it computes.
let runtime, session, description;

async function open({ description: given, backend }) {
  description = given;
  const [binary, model, module] = await Promise.all([fetched(backend.binary), fetched("model.onnx"), import(`./${backend.script}`)]);
  postMessage({ loaded: description.files[backend.script] });
  runtime = module;
  runtime.env.logLevel = "error";
  // More threads would need headers that static hosts do not send.
  runtime.env.wasm.numThreads = 1;
  runtime.env.wasm.wasmBinary = binary;
  session = await runtime.InferenceSession.create(model, { executionProviders: [backend.name], logSeverityLevel: 3 });
  // Proves that the device runs the model, and prepares it.
  const side = description.smallest_side, length = side * side;
  const labels = description.model.input.kind === "labels";
  await translate({ width: side, height: side, samples: labels ? new Int32Array(length) : new Uint8ClampedArray(4 * length) });
  return {};
}

/// A file of the folder, whole.
async function fetched(path) {
  const response = await fetch(path).catch(() => null);
  if (!response?.ok) throw new Error(`${path} cannot be loaded${response ? `: the host answers ${response.status}` : ""}`);
  const whole = new Uint8Array(description.files[path]), reader = response.body.getReader();
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length <= whole.length) whole.set(part.value, at);
    at += part.value.length;
    postMessage({ loaded: part.value.length });
  }
  if (at !== whole.length) throw new Error(`${path} is damaged: it has ${at} bytes in place of ${whole.length}`);
  return whole;
}

/// Which pixel of a side stands at each place of an extended side: the network wants multiples, and the border is mirrored.
function mirrored(length) {
  const { size_multiple: multiple, smallest_side: smallest } = description;
  const wanted = Math.ceil(Math.max(length, smallest) / multiple) * multiple, period = 2 * Math.max(length - 1, 1);
  return Int32Array.from({ length: wanted }, (_, i) => (length === 1 ? 0 : Math.min(i % period, period - i % period)));
}

/// `samples` are RGBA, or label ids; the result is RGBA.
async function translate({ width, height, samples }) {
  const columns = mirrored(width), rows = mirrored(height), dims = [1, rows.length, columns.length];
  const { input, instances } = description.model;
  const inputs = {};
  if (input.kind === "labels") {
    const ids = new Int32Array(rows.length * columns.length);
    rows.forEach((y, i) => columns.forEach((x, j) => { ids[i * columns.length + j] = samples[y * width + x]; }));
    inputs.labels = new runtime.Tensor("int32", ids, dims);
    // A drawing has no instance map: each label is one instance.
    if (instances) inputs.instances = new runtime.Tensor("int32", ids.slice(), dims);
  } else {
    const channels = input.kind === "image" ? input.channels : 3;
    inputs.image = new runtime.Tensor("uint8", pixels(samples, width, rows, columns, channels), [...dims, channels]);
  }
  const { output } = await session.run(inputs);
  const made = rgba(await output.getData(), output.dims, width, height);
  output.dispose();
  return { pixels: made.buffer };
}

function pixels(samples, width, rows, columns, channels) {
  const out = new Uint8Array(rows.length * columns.length * channels);
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      const from = 4 * (y * width + x), r = samples[from], g = samples[from + 1], b = samples[from + 2];
      if (channels === 1) {
        // ITU-R 601 luma with the weights of gan-data.
        out[at++] = (r * 19595 + g * 38470 + b * 7471 + 32768) >>> 16;
      } else {
        out[at++] = r;
        out[at++] = g;
        out[at++] = b;
      }
    }
  }
  return out;
}

/// The upper left part of an output `[1, H, W, C]`.
function rgba(levels, [, , stride, channels], width, height) {
  const out = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * stride + x) * channels, to = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) out[to + c] = levels[from + (channels === 1 ? 0 : c)];
      out[to + 3] = 255;
    }
  }
  return out;
}

// One question after the other: the runtime computes one at a time.
let last = Promise.resolve();
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      const answer = data.open ? await open(data.open) : await translate(data);
      postMessage({ id: data.id, ...answer }, answer.pixels ? [answer.pixels] : []);
    } catch (error) {
      postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
