// Curves of losses, validation and the learning rate, drawn as SVG.
const COLOURS = matchMedia("(prefers-color-scheme: dark)").matches
  ? ["#7aa7ff", "#ff9e64", "#5fd39a", "#d895ee", "#e0b84c", "#57c7dd", "#ff8ab5", "#a9b1bb"]
  : ["#1d4ed8", "#c2410c", "#15703f", "#9333b5", "#8a6500", "#00708a", "#b8154f", "#57606a"];
const MEANINGS = {
  G_GAN: "the generator against the discriminator", G_L1: "distance to the target, times lambda_l1", G_GAN_Feat: "feature matching",
  G_VGG: "distance of VGG19's features", G: "all of the generator's losses", NCE: "patches of input and output belong together", NCE_Y: "the same for images of the target domain",
  D_real: "the discriminator on real images", D_fake: "the discriminator on translated images",
  D_A: "the discriminator of domain B", D_B: "the discriminator of domain A", G_A: "A to B against its discriminator", G_B: "B to A against its discriminator",
  cycle_A: "A to B and back, times lambda_a", cycle_B: "B to A and back, times lambda_b", idt_A: "B through A to B stays as it is", idt_B: "A through B to A stays as it is",
  D_GP: "gradient penalty", D_R1: "R1 penalty",
};

const SVG = "http://www.w3.org/2000/svg";
function node(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
  return String(+value.toPrecision(4));
}

/// Bias-corrected exponential smoothing.
function smoothed(points, weight) {
  let sum = 0, norm = 0;
  return points.map(([step, value]) => {
    sum = weight * sum + (1 - weight) * value;
    norm = weight * norm + (1 - weight);
    return [step, sum / norm];
  });
}

/// Round numbers in a range.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(k => k >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(+at.toPrecision(12));
  return found;
}

/// The range that is drawn. A few outliers do not flatten the rest, unless they are wanted.
function extent(values, outliers) {
  const sorted = values.slice().sort((a, b) => a - b);
  const at = share => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
  let [low, high] = outliers || sorted.length < 20 ? [sorted[0], sorted[sorted.length - 1]] : [at(0.01), at(0.98)];
  if (!(high > low)) [low, high] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  const room = (high - low) * 0.05;
  return [low - room, high + room];
}

/// One chart: `series` are {run, colour, points, epochs}.
function drawChart(name, kind, series, settings) {
  const figure = document.createElement("figure");
  figure.className = "chart";
  const caption = document.createElement("figcaption");
  const title = document.createElement("b");
  title.textContent = name;
  const last = document.createElement("span");
  last.textContent = series.map(s => short(s.last)).join(" · ");
  caption.append(title, last);
  const meaning = document.createElement("small");
  meaning.textContent = MEANINGS[name] || "";
  const [width, height, left, right, top, bottom] = [360, 170, 52, 16, 8, 22];
  const log = settings.log && series.every(s => s.points.every(([, v]) => v > 0));
  const on = log ? Math.log10 : v => v;
  const weight = kind === "loss" ? settings.smoothing : 0;
  const lines = series.map(s => ({ ...s, raw: s.points.map(([x, v]) => [x, on(v)]), smooth: smoothed(s.points, weight).map(([x, v]) => [x, on(v)]) }));
  const xs = lines.flatMap(l => l.raw.map(([x]) => x));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [y0, y1] = extent(lines.flatMap(l => l.raw.map(([, v]) => v)), settings.outliers);
  const x = step => left + (x1 > x0 ? (step - x0) / (x1 - x0) : 0.5) * (width - left - right);
  const y = value => top + (1 - (Math.min(Math.max(value, y0), y1) - y0) / (y1 - y0)) * (height - top - bottom);
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0,
    "aria-label": `${name}, steps ${x0} to ${x1}, last ${series.map(s => short(s.last)).join(", ")}. Arrow keys read single values.` });
  const marks = log ? ticks(y0, y1, 4).map(v => [v, short(10 ** v)]) : ticks(y0, y1, 4).map(v => [v, short(v)]);
  for (const [value, label] of marks) {
    node("line", { class: "grid", x1: left, x2: width - right, y1: y(value), y2: y(value) }, svg);
    node("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, svg, label);
  }
  for (const step of ticks(x0, x1, 4).filter(step => Number.isInteger(step) && x1 > x0)) {
    node("line", { class: "grid", x1: x(step), x2: x(step), y1: top, y2: height - bottom }, svg);
    node("text", { x: x(step), y: height - 6, "text-anchor": "middle" }, svg, step >= 1e4 ? `${step / 1e3}k` : step);
  }
  if (settings.epochs && series.length === 1) {
    const begun = series[0].epochs.filter(([, step]) => step > x0 && step < x1);
    const every = Math.ceil(begun.length / 12);
    begun.forEach(([epoch, step], i) => {
      if (i % every) return;
      const line = node("line", { class: "epoch", x1: x(step), x2: x(step), y1: top, y2: height - bottom }, svg);
      node("title", {}, line, `epoch ${epoch}`);
    });
  }
  const path = points => points.map(([s, v]) => `${x(s).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  for (const line of lines) {
    const drawn = (points, more) => node("polyline", { points: path(points), fill: "none", stroke: line.colour, "stroke-width": 1.5, ...more }, svg);
    if (weight > 0) drawn(line.raw, { class: "raw" });
    drawn(line.smooth, {});
    if (line.raw.length < 2 || kind === "validation") {
      for (const [s, v] of line.raw) node("circle", { cx: x(s), cy: y(v), r: 2.5, fill: line.colour }, svg);
    }
  }
  const cross = node("line", { class: "cross", y1: top, y2: height - bottom, visibility: "hidden" }, svg);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-live", "polite");
  const longest = lines.reduce((a, b) => (b.raw.length > a.raw.length ? b : a));
  let at = longest.raw.length - 1;
  const show = () => {
    const step = longest.raw[at][0];
    cross.setAttribute("x1", x(step));
    cross.setAttribute("x2", x(step));
    cross.setAttribute("visibility", "visible");
    const values = lines.map(line => {
      const nearest = line.points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
      return (lines.length > 1 ? `${line.run}: ` : "") + short(nearest[1]);
    });
    tip.textContent = `step ${step}: ${values.join(" · ")}`;
    tip.hidden = false;
  };
  const hide = () => { tip.hidden = true; cross.setAttribute("visibility", "hidden"); };
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    // The drawing keeps its aspect inside of the box.
    const scale = Math.min(box.width / width, box.height / height);
    const px = (event.clientX - box.left - (box.width - width * scale) / 2) / scale;
    at = longest.raw.reduce((best, [s], i) => (Math.abs(x(s) - px) < Math.abs(x(longest.raw[best][0]) - px) ? i : best), 0);
    show();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", event => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    at = Math.min(Math.max(at + move, 0), longest.raw.length - 1);
    show();
  });
  figure.append(caption, meaning, svg, tip);
  return figure;
}

function drawCharts(runs, settings) {
  const charts = new Map();
  runs.forEach((run, i) => {
    for (const curve of run.curves) {
      const key = `${curve.kind} ${curve.name}`;
      if (!charts.has(key)) charts.set(key, { name: curve.name, kind: curve.kind, series: [] });
      const series = { run: run.name, colour: COLOURS[run.index % COLOURS.length], points: curve.points, last: curve.last, epochs: run.epochs };
      if (curve.points.length) charts.get(key).series.push(series);
    }
  });
  const order = ["validation", "loss", "rate"];
  const sorted = [...charts.values()].filter(c => c.series.length).sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const target = document.getElementById("charts");
  target.replaceChildren(...sorted.map(c => drawChart(c.name, c.kind, c.series, settings)));
  if (!sorted.length) target.textContent = "No losses were logged yet.";
}
