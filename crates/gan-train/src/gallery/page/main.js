// The page: reads the data that stands in it, and fetches newer data while the run goes on.
let runs = JSON.parse(document.getElementById("data").textContent);
const hidden = new Set();
const byId = id => document.getElementById(id);

function settings() {
  return { smoothing: +byId("smoothing").value, log: byId("log-scale").checked, outliers: byId("outliers").checked, epochs: byId("epochs").checked };
}

function drawFacts() {
  byId("facts").replaceChildren(...runs.map(run => {
    const list = control("dl", {}, ...run.facts.flatMap(([name, value]) => [control("dt", {}, name), control("dd", {}, value)]));
    const config = control("details", {}, control("summary", {}, "Settings (config.toml)"), control("pre", { tabIndex: 0 }, run.settings));
    const parts = run.settings ? [list, config] : [list];
    return runs.length > 1 ? control("details", {}, control("summary", {}, run.name), ...parts) : control("div", {}, ...parts);
  }));
}

function drawRunNames() {
  const target = byId("runs");
  target.hidden = runs.length < 2;
  target.replaceChildren(...runs.map((run, i) => {
    const box = control("input", { type: "checkbox", checked: !hidden.has(i) });
    box.onchange = () => { box.checked ? hidden.delete(i) : hidden.add(i); redrawCharts(); };
    const dot = control("span", { className: "dot" });
    dot.style.background = COLOURS[i % COLOURS.length];
    return control("label", {}, box, " ", dot, `${run.name}: ${run.summary}`);
  }));
}

function redrawCharts() {
  drawCharts(runs.map((run, index) => ({ ...run, index })).filter(run => !hidden.has(run.index)), settings());
}

function draw() {
  const [run] = runs;
  if (runs.length === 1) {
    byId("status").textContent = run.summary;
    document.title = `${run.name} · step ${run.step}`;
    byId("progress").hidden = !run.total;
    byId("progress").value = run.total ? run.step / run.total : 0;
  }
  drawRunNames();
  redrawCharts();
  drawPreviews(runs);
  drawFacts();
}

for (const id of ["smoothing", "log-scale", "outliers", "epochs"]) byId(id).addEventListener("input", redrawCharts);
draw();

// A script can be loaded from a file, too, where data cannot be fetched.
window.galleryData = newer => {
  if (JSON.stringify(newer) === JSON.stringify(runs)) return;
  const open = [...document.querySelectorAll("#facts details")].map(element => element.open);
  const keep = document.activeElement && document.activeElement.closest("svg");
  runs = newer;
  // What somebody reads or types in stays as it is.
  if (byId("viewer").open || keep) return;
  draw();
  [...document.querySelectorAll("#facts details")].forEach((element, i) => { element.open = open[i] || false; });
};
function refresh() {
  if (runs.length !== 1 || runs[0].finished) return;
  const script = document.createElement("script");
  script.src = `newer.js?${Date.now()}`;
  script.onload = script.onerror = () => { script.remove(); setTimeout(refresh, 5000); };
  document.body.append(script);
}
if (runs.length === 1 && runs[0].live) setTimeout(refresh, 5000);
