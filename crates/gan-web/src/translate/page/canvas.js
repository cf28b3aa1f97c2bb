// The canvas: a map of palette indices, painted without soft edges, as label maps and drawn edges are.
const UNDOS = 30;

class Board {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.palette = [{ colour: [255, 255, 255] }];
    this.tool = "brush";
    this.index = 0;
    this.brush = 12;
    this.cursor = null;
    this.resize(256, 256);
    this.listen();
  }

  /// Another palette, and an empty map.
  begin(palette, index, start) {
    this.palette = palette;
    this.index = index;
    this.past = [];
    this.future = [];
    this.map.fill(0);
    if (start) start(this);
    this.draw();
  }

  /// Another size; what was there is scaled, each pixel to the nearest.
  resize(width, height) {
    const before = this.map && { map: this.map, width: this.width, height: this.height };
    this.width = this.canvas.width = width;
    this.height = this.canvas.height = height;
    this.canvas.style.setProperty("--aspect", `${width} / ${height}`);
    this.map = new Uint16Array(width * height);
    this.past = [];
    this.future = [];
    if (before) {
      for (let y = 0; y < height; y++) {
        const row = Math.floor((y + 0.5) * before.height / height) * before.width;
        for (let x = 0; x < width; x++) this.map[y * width + x] = before.map[row + Math.floor((x + 0.5) * before.width / width)];
      }
    }
    this.draw();
  }

  /// Takes a map over: indices of the palette.
  load(map, width, height) {
    this.width = this.canvas.width = width;
    this.height = this.canvas.height = height;
    this.canvas.style.setProperty("--aspect", `${width} / ${height}`);
    this.map = map;
    this.past = [];
    this.future = [];
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    const words = new Uint32Array(image.data.buffer);
    const colours = Uint32Array.from(this.palette, ({ colour: [r, g, b] }) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    for (let i = 0; i < words.length; i++) words[i] = colours[this.map[i]];
    context.putImageData(image, 0, 0);
    if (this.cursor && document.activeElement === this.canvas) {
      const [x, y] = this.cursor, radius = Math.max(this.brush / 2, 1.5);
      for (const [style, extra] of [["#fff", 1], ["#000", 0]]) {
        context.strokeStyle = style;
        context.beginPath();
        context.arc(x + 0.5, y + 0.5, radius + extra, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    byId("undo").disabled = !this.past.length;
    byId("redo").disabled = !this.future.length;
  }

  remember() {
    this.past.push(this.map.slice());
    if (this.past.length > UNDOS) this.past.shift();
    this.future = [];
  }

  back(from, to) {
    if (!from.length) return;
    to.push(this.map.slice());
    this.map = from.pop();
    this.draw();
    this.changed();
  }

  undo() { this.back(this.past, this.future); }
  redo() { this.back(this.future, this.past); }

  clear(start) {
    this.remember();
    this.map.fill(0);
    if (start) start(this);
    this.draw();
    this.changed();
  }

  disc(cx, cy) {
    const radius = this.brush / 2, reach = Math.ceil(radius);
    for (let y = Math.max(0, Math.floor(cy - reach)); y <= Math.min(this.height - 1, cy + reach); y++) {
      for (let x = Math.max(0, Math.floor(cx - reach)); x <= Math.min(this.width - 1, cx + reach); x++) {
        const inside = (x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 <= radius * radius;
        if (inside || (x === Math.floor(cx) && y === Math.floor(cy))) this.map[y * this.width + x] = this.index;
      }
    }
  }

  line([x0, y0], [x1, y1]) {
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) * 2));
    for (let i = 0; i <= steps; i++) this.disc(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps);
  }

  box([x0, y0], [x1, y1], index = this.index) {
    const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)], [top, bottom] = [Math.min(y0, y1), Math.max(y0, y1)];
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(this.height, Math.ceil(bottom)); y++) {
      this.map.fill(index, y * this.width + Math.max(0, Math.floor(left)), y * this.width + Math.min(this.width, Math.ceil(right)));
    }
  }

  fill([px, py]) {
    const x = Math.floor(px), y = Math.floor(py), old = this.map[y * this.width + x];
    if (old === this.index) return;
    const pending = [y * this.width + x];
    while (pending.length) {
      const at = pending.pop();
      if (this.map[at] !== old) continue;
      this.map[at] = this.index;
      const column = at % this.width;
      if (column > 0) pending.push(at - 1);
      if (column < this.width - 1) pending.push(at + 1);
      if (at >= this.width) pending.push(at - this.width);
      if (at < this.map.length - this.width) pending.push(at + this.width);
    }
  }

  listen() {
    const { canvas } = this;
    let last = null, begun = null, base = null;
    const place = event => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * this.width, (event.clientY - box.top) / box.height * this.height];
    };
    canvas.addEventListener("pointerdown", event => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.cursor = null;
      this.remember();
      last = begun = place(event);
      base = this.map.slice();
      if (this.tool === "fill") this.fill(last);
      if (this.tool === "brush") this.disc(...last);
      this.draw();
      this.changed();
    });
    canvas.addEventListener("pointermove", event => {
      if (!begun || this.tool === "fill") return;
      const now = place(event);
      if (this.tool === "brush") this.line(last, now);
      if (this.tool === "box") { this.map.set(base); this.box(begun, now); }
      last = now;
      this.draw();
      this.changed();
    });
    const end = () => { begun = null; };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("blur", () => this.draw());
    canvas.addEventListener("keydown", event => this.key(event));
  }

  /// Arrow keys move the brush, with Shift far; the space bar paints.
  key(event) {
    const far = event.shiftKey ? 16 : 4;
    const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    const [x, y] = this.cursor || [this.width / 2, this.height / 2];
    if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      this.cursor = [Math.min(Math.max(x + dx, 0), this.width - 1), Math.min(Math.max(y + dy, 0), this.height - 1)];
    } else if (event.key === " " || event.key === "Enter") {
      this.cursor = [x, y];
      this.remember();
      if (this.tool === "fill") this.fill(this.cursor); else this.disc(...this.cursor);
      this.changed();
    } else if (event.key === "[" || event.key === "]") {
      const brush = byId("brush");
      brush.value = +brush.value + (event.key === "]" ? 2 : -2);
      brush.dispatchEvent(new Event("input"));
    } else if (event.key.toLowerCase() === "z") {
      if (event.shiftKey) this.redo(); else this.undo();
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  /// What the model reads: ids, colours, or grey.
  file(kind) {
    if (kind === "colours") {
      const samples = new Uint8Array(this.map.length * 3);
      this.map.forEach((index, i) => samples.set(this.palette[index].colour, 3 * i));
      return png(this.width, this.height, 3, 8, samples);
    }
    const level = kind === "labels" ? ({ id }) => id : ({ colour }) => colour[0];
    const levels = this.palette.map(level);
    const bits = Math.max(...levels) > 255 ? 16 : 8;
    return png(this.width, this.height, 1, bits, Uint16Array.from(this.map, index => levels[index]));
  }
}

/// A scene to begin with, where the names of the labels tell how one looks.
function scene(board) {
  const index = (...names) => board.palette.findIndex(({ name }) => names.includes(name));
  const { width: w, height: h } = board;
  const put = (at, [x0, y0], [x1, y1]) => { if (at >= 0) board.box([x0 * w, y0 * h], [x1 * w, y1 * h], at); };
  const sky = index("sky");
  if (sky < 0) return;
  put(sky, [0, 0], [1, 1]);
  const window_ = index("window");
  if (window_ >= 0) {
    put(index("ground"), [0, 0.88], [1, 1]);
    put(index("wall"), [0.12, 0.2], [0.88, 0.88]);
    put(index("roof"), [0.08, 0.1], [0.92, 0.2]);
    for (const y of [0.28, 0.5]) for (const x of [0.2, 0.44, 0.68]) put(window_, [x, y], [x + 0.13, y + 0.13]);
    put(index("door"), [0.43, 0.68], [0.57, 0.88]);
    return;
  }
  put(index("building"), [0, 0.25], [0.35, 0.62]);
  put(index("vegetation"), [0.65, 0.35], [1, 0.62]);
  put(index("sidewalk"), [0, 0.58], [1, 0.7]);
  put(index("road"), [0, 0.66], [1, 1]);
  put(index("car"), [0.42, 0.56], [0.6, 0.72]);
}
