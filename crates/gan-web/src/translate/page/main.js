// The page: what is chosen, what is sent, what is shown.
const state = {
  models: [], model: null, direction: null, way: "image",
  /// The image as it was given, and as it is sent.
  source: null, sent: null, result: null,
  /// A request is under way; another one is wanted after it.
  busy: false, dirty: false,
};
const board = new Board(byId("board"), () => { if (state.way === "draw") request(); });

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
}

function option(value, text, selected) {
  return Object.assign(document.createElement("option"), { value, textContent: text, selected });
}

function press(group, chosen) {
  for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === chosen));
}

const WAYS = { a2b: "A to B", b2a: "B to A" };

function describe(model) {
  const kinds = { image: "images", labels: "label maps", lightness: "images, of which it sees the lightness" };
  const labels = model.input.kind === "labels" ? ` of ${model.input.count} labels` : "";
  const method = model.method ? `${model.method}, ` : "";
  return `${method}takes ${kinds[model.input.kind]}${labels}, trained at ${model.side} × ${model.side}`;
}

function chooseModel(model) {
  state.model = model;
  state.direction = model.directions[0];
  byId("title").textContent = model.name;
  document.title = `${model.name} · try it`;
  byId("about").textContent = describe(model);
  byId("step-row").hidden = model.steps.length < 2;
  byId("step").replaceChildren(...model.steps.slice().reverse().map(step => {
    const marks = [step === model.steps.at(-1) ? "newest" : "", step === model.best ? "best" : ""].filter(Boolean).join(", ");
    return option(step, `step ${step}${marks ? ` (${marks})` : ""}`, step === model.step);
  }));
  const directions = byId("direction-row");
  directions.hidden = model.directions.length < 2;
  press(directions, directions.querySelector(`[data-direction=${state.direction}]`));
  byId("style-row").hidden = !model.styles;
  byId("seed-row").hidden = !model.dropout;
  // A result is no label map.
  byId("again").hidden = model.input.kind === "labels";
  const drawn = model.draw.tool !== "nothing";
  byId("ways").hidden = !drawn && !byId("way-camera");
  byId("way-draw").hidden = !drawn;
  offerSizes();
  if (drawn) setUpBoard();
  const draws = ["labels", "colours"].includes(model.draw.tool) || model.draw.likely;
  chooseWay(drawn && draws && !state.source ? "draw" : "image");
}

function offerSizes() {
  const { model } = state;
  const before = byId("size").value;
  const fits = side => side * side <= model.max_pixels;
  const sides = [...new Set([model.side, 256, 512, 1024])].filter(side => fits(side) && side >= 32).sort((a, b) => a - b);
  if (!sides.length) sides.push(Math.floor(Math.sqrt(model.max_pixels)));
  const chosen = sides.includes(+before) ? +before : sides.includes(model.side) ? model.side : sides[0];
  const text = side => (side === model.side ? `${side} pixels, as trained` : `${side} pixels`);
  byId("size").replaceChildren(...sides.map(side => option(side, text(side), side === chosen)), option("own", "the image's own", before === "own"));
}

/// The side that images are scaled to; 0 for their own.
const side = () => (byId("size").value === "own" ? 0 : +byId("size").value);

function setUpBoard() {
  const { draw, side: trained } = state.model;
  const size = Math.min(side() || trained, 512);
  board.resize(size, size);
  const pen = [{ id: 0, name: "paper", colour: [255, 255, 255] }, { id: 1, name: "ink", colour: [0, 0, 0] }];
  const palette = draw.tool === "pen" ? pen : draw.palette;
  byId("brush").value = draw.tool === "pen" ? 2 : Math.max(4, Math.round(size / 20));
  byId("brush").dispatchEvent(new Event("input"));
  board.begin(palette, 1 % palette.length, draw.tool === "pen" ? null : scene);
  byId("palette").setAttribute("aria-label", draw.tool === "pen" ? "Colour" : "Label");
  byId("palette").replaceChildren(...palette.map((label, i) => {
    const button = document.createElement("button"), swatch = document.createElement("span");
    button.type = "button";
    button.setAttribute("role", "radio");
    swatch.className = "swatch";
    swatch.style.background = `rgb(${label.colour})`;
    button.append(swatch, label.name);
    button.onclick = () => chooseLabel(i);
    return button;
  }));
  chooseLabel(board.index);
}

function chooseLabel(index) {
  board.index = index;
  [...byId("palette").children].forEach((button, i) => {
    button.setAttribute("aria-checked", String(i === index));
    button.tabIndex = i === index ? 0 : -1;
    if (i === index) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

byId("palette").addEventListener("keydown", event => {
  const move = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!move) return;
  event.preventDefault();
  const count = board.palette.length, next = (board.index + move + count) % count;
  chooseLabel(next);
  byId("palette").children[next].focus();
});

function chooseWay(way) {
  state.way = way;
  press(byId("ways"), byId(`way-${way}`));
  for (const pane of document.querySelectorAll(".pane")) pane.hidden = pane.id !== `${way}-pane`;
  document.dispatchEvent(new CustomEvent("way", { detail: way }));
  if (way === "draw" || (way === "image" && state.source)) request();
}

/// Takes an image that was chosen, dropped, pasted or photographed.
async function take(file) {
  if (!file || !state.model) return;
  if (!file.type.startsWith("image/")) return say("That is no image.", true);
  state.source = file;
  if (state.model.input.kind === "labels" && await takeLabels(file)) return;
  chooseWay("image");
}

/// A label map becomes a drawing if the canvas can hold it.
async function takeLabels(file) {
  try {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { width, height } = bitmap;
    if (width * height > Math.min(1 << 21, state.model.max_pixels)) return false;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const indices = new Map(board.palette.map(({ id }, i) => [id, i]));
    const map = new Uint16Array(width * height);
    for (let i = 0; i < map.length; i++) {
      const [r, g, b] = [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
      if (r !== g || g !== b || !indices.has(r)) return false;
      map[i] = indices.get(r);
    }
    board.load(map, width, height);
    state.source = null;
    chooseWay("draw");
    return true;
  } catch {
    return false;
  }
}

/// The image as it is sent: scaled, unless it is a label map or to keep its size.
async function prepared() {
  if (state.way === "draw") return board.file(state.model.draw.tool);
  const file = state.source;
  const plain = ["image/png", "image/jpeg", "image/webp"].includes(file.type);
  if (state.model.input.kind === "labels") return file;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Error("The browser cannot read that image.");
  const most = Math.min(state.model.max_pixels, state.limits.max_pixels);
  const longest = Math.max(bitmap.width, bitmap.height);
  let scale = side() ? side() / longest : 1;
  scale = Math.min(scale, Math.sqrt(most / (bitmap.width * bitmap.height)), state.limits.max_side / longest);
  if (scale === 1 && plain && file.size <= state.limits.max_bytes) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => canvas.toBlob(blob => (blob ? done(blob) : fail(new Error("The browser cannot scale that image."))), "image/png"));
}

function query() {
  const { model } = state;
  const asked = new URLSearchParams({ model: model.id });
  if (model.steps.length > 1 && byId("step").value) asked.set("step", byId("step").value);
  if (model.directions.length > 1) asked.set("direction", state.direction);
  if (model.styles) asked.set("style", byId("style").value);
  if (model.dropout && byId("dropout").checked) asked.set("seed", byId("seed").value || "0");
  return asked;
}

/// Asks for a result now, or after the one that is under way.
async function request() {
  state.dirty = true;
  if (state.busy) return;
  state.busy = true;
  byId("compare").classList.add("busy");
  while (state.dirty) {
    state.dirty = false;
    const { way } = state;
    // What was asked for in a way that is left meanwhile is asked for again when that is chosen again, and says nothing now.
    const left = () => state.way !== way;
    // A camera's frames are translated as they come.
    if (way === "camera" || (way === "image" && !state.source)) break;
    try {
      const body = await prepared();
      if (way === "image") {
        byId("empty").hidden = true;
        await show(byId("input"), body);
      }
      const { blob, ms } = await translate(query(), body, () => !state.dirty);
      if (left()) continue;
      await Promise.all([show(byId("output"), blob), show(byId("over"), way === "draw" ? await picture() : body)]);
      if (left()) continue;
      state.sent = body;
      state.result = blob;
      byId("waiting").hidden = true;
      const { naturalWidth: width, naturalHeight: height } = byId("output");
      say(`${width} × ${height}, ${ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`}`);
      byId("download").disabled = byId("again").disabled = false;
    } catch (error) {
      if (!state.dirty && !left()) say(reason(error), true);
    }
  }
  state.busy = false;
  byId("compare").classList.remove("busy");
}

/// The drawing in its colours.
const picture = () => new Promise(done => byId("board").toBlob(done, "image/png"));

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function listen() {
  setUpCompare();
  byId("settings").addEventListener("submit", event => event.preventDefault());
  byId("model").onchange = () => chooseModel(state.models[byId("model").selectedIndex]);
  byId("step").onchange = () => request();
  byId("size").onchange = () => {
    if (state.way === "draw" && side()) board.resize(Math.min(side(), 512), Math.min(side(), 512));
    request();
  };
  byId("style").oninput = () => { byId("style-number").textContent = byId("style").value; request(); };
  byId("dropout").onchange = byId("seed").onchange = () => request();
  byId("direction-row").onclick = event => {
    const button = event.target.closest("button");
    if (!button) return;
    state.direction = button.dataset.direction;
    press(byId("direction-row"), button);
    request();
  };
  byId("way-image").onclick = () => chooseWay("image");
  byId("way-draw").onclick = () => chooseWay("draw");
  for (const id of ["file", "photo"]) byId(id).onchange = event => { take(event.target.files[0]); event.target.value = ""; };
  const touch = matchMedia("(pointer: coarse)").matches;
  byId("photo-row").hidden = !touch;
  byId("hint").hidden = touch;
  document.addEventListener("paste", event => take([...event.clipboardData.files].find(file => file.type.startsWith("image/"))));
  // Dragging within the page swipes, and drops nothing.
  document.addEventListener("dragstart", event => event.preventDefault());
  document.addEventListener("dragover", event => { event.preventDefault(); byId("drop").classList.add("over"); });
  document.addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.onclick = () => { board.tool = button.dataset.tool; press(button.parentElement, button); };
  }
  byId("brush").oninput = () => { board.brush = +byId("brush").value; byId("brush-number").textContent = byId("brush").value; };
  byId("undo").onclick = () => board.undo();
  byId("redo").onclick = () => board.redo();
  byId("clear").onclick = () => board.clear();
  byId("save-drawing").onclick = () => save(board.file(state.model.draw.tool), `${state.model.id}-drawing.png`);
  byId("download").onclick = () => save(state.result, `${state.model.id}-result.png`);
  byId("again").onclick = () => take(new File([state.result], "result.png", { type: "image/png" }));
}

/// Checkpoints may come while the page is open.
async function lookForSteps() {
  if (document.hidden || state.busy) return;
  const answer = await askModels().catch(() => null);
  const newer = answer && answer.models.find(({ id }) => id === state.model.id);
  if (!newer || String(newer.steps) === String(state.model.steps)) return;
  const chosen = byId("step").value;
  state.models = answer.models;
  Object.assign(state.model, { steps: newer.steps, best: newer.best });
  byId("step-row").hidden = newer.steps.length < 2;
  byId("step").replaceChildren(...newer.steps.slice().reverse().map(step => option(step, `step ${step}${step === newer.best ? " (best)" : ""}`, String(step) === chosen)));
}

async function start() {
  listen();
  try {
    const { models, ...limits } = await askModels();
    state.models = models;
    state.limits = limits;
    byId("model-row").hidden = models.length < 2;
    byId("model").replaceChildren(...models.map(({ id, name }) => option(id, name)));
    byId("settings").hidden = byId("main").hidden = false;
    chooseModel(models[0]);
    setInterval(lookForSteps, 10000);
  } catch (error) {
    Object.assign(byId("about"), { role: "alert", className: "wrong", textContent: reason(error) });
  }
}
start();
