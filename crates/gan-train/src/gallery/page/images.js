// Previews: a slider over steps, one image over all steps, and a full-screen viewer that compares.
const previewState = { run: 0, index: null, view: "step" };

function image(shown, alt, source) {
  const figure = document.createElement("figure");
  const button = document.createElement("button");
  button.type = "button";
  const picture = document.createElement("img");
  picture.src = source;
  picture.width = shown.width;
  picture.height = shown.height;
  picture.alt = alt;
  picture.loading = "lazy";
  if (shown.width < 200) figure.className = "small";
  button.append(picture);
  figure.append(button);
  return [figure, button];
}

function caption(figure, text) {
  const element = document.createElement("figcaption");
  element.textContent = text;
  figure.append(element);
}

const sourceOf = (run, shown) => run.images[shown.file] || `images/${shown.file}`;
/// The name of the held-out image that a row is of; the last rows are.
const heldOut = (preview, row) => (preview.held_out || [])[row - preview.rows.length + (preview.held_out || []).length];
const nameOf = (preview, row) => heldOut(preview, row) === undefined ? `image ${row + 1}` : `held-out image ${heldOut(preview, row)}`;
const altOf = (preview, row, label) => `${label} of ${nameOf(preview, row)}, epoch ${preview.epoch}, step ${preview.step}`;

function control(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function drawPreviews(runs) {
  const controls = document.getElementById("preview-controls");
  const rows = document.getElementById("preview-rows");
  const run = runs[Math.min(previewState.run, runs.length - 1)];
  const previews = run.previews;
  controls.replaceChildren();
  if (!previews.length) {
    rows.textContent = "No previews yet.";
    return;
  }
  const last = previews.length - 1;
  const index = previewState.index === null ? last : Math.min(previewState.index, last);
  const preview = previews[index];
  if (runs.length > 1) {
    const select = control("select", { ariaLabel: "Run" }, ...runs.map((r, i) => control("option", { value: i, selected: i === previewState.run }, r.name)));
    select.onchange = () => { previewState.run = +select.value; previewState.index = null; drawPreviews(runs); };
    controls.append(select);
  }
  const most = Math.max(...previews.map(p => p.rows.length));
  const rowName = i => { const name = nameOf(previews.find(p => p.rows.length > i), i); return name[0].toUpperCase() + name.slice(1); };
  const views = [["step", "All images of a step"], ...Array.from({ length: most }, (_, i) => [String(i), `${rowName(i)} over all steps`])];
  const select = control("select", { ariaLabel: "What is shown" }, ...views.map(([value, text]) => control("option", { value, selected: value === previewState.view }, text)));
  select.onchange = () => { previewState.view = select.value; drawPreviews(runs); };
  controls.append(select);
  if (previewState.view !== "step") {
    drawOverSteps(rows, run, +previewState.view);
    return;
  }
  const slider = control("input", { type: "range", min: 0, max: last, value: index, id: "step-slider" });
  const text = control("output", {}, `epoch ${preview.epoch}, step ${preview.step}`);
  const go = to => {
    previewState.index = to >= last ? null : Math.max(to, 0);
    slider.value = Math.min(Math.max(to, 0), last);
    const shown = previews[+slider.value];
    text.textContent = `epoch ${shown.epoch}, step ${shown.step}`;
    previous.disabled = +slider.value === 0;
    next.disabled = +slider.value === last;
    drawRows(rows, run, +slider.value);
  };
  const previous = control("button", { type: "button", ariaLabel: "Earlier step" }, "‹");
  const next = control("button", { type: "button", ariaLabel: "Later step" }, "›");
  previous.onclick = () => go(+slider.value - 1);
  next.onclick = () => go(+slider.value + 1);
  slider.oninput = () => go(+slider.value);
  controls.append(previous, control("label", { className: "wide" }, "Step ", slider), next, text);
  go(index);
}

function drawRows(target, run, index) {
  const preview = run.previews[index];
  const divided = (preview.held_out || []).length > 0;
  target.replaceChildren(...preview.rows.flatMap((row, r) => {
    const name = heldOut(preview, r);
    const first = divided && (r === 0 || (name !== undefined && heldOut(preview, r - 1) === undefined));
    const title = first ? [control("h3", {}, name === undefined ? "Training images" : "Held-out images")] : [];
    if (name !== undefined) title.push(control("p", { className: "quiet" }, name));
    const line = control("div", { className: "row" });
    line.style.setProperty("--columns", row.length);
    line.style.setProperty("--narrow", row.length > 4 ? 4 : row.length);
    row.forEach((shown, column) => {
      const [figure, button] = image(shown, altOf(preview, r, shown.label), sourceOf(run, shown));
      button.onclick = () => openViewer(run, index, r, column);
      caption(figure, shown.label);
      line.append(figure);
    });
    return [...title, line];
  }));
}

/// The images of one row that change: those of the first and last preview differ.
function drawOverSteps(target, run, row) {
  const first = run.previews.find(p => p.rows[row]);
  const blocks = first.rows[row].map(({ label }) => {
    const strip = control("div", { className: "strip" });
    run.previews.forEach((preview, index) => {
      const column = (preview.rows[row] || []).findIndex(shown => shown.label === label);
      if (column < 0) return;
      const shown = preview.rows[row][column];
      const [figure, button] = image(shown, altOf(preview, row, label), sourceOf(run, shown));
      button.onclick = () => openViewer(run, index, row, column);
      caption(figure, `epoch ${preview.epoch}, step ${preview.step}`);
      strip.append(figure);
    });
    return control("section", { ariaLabel: label }, control("h3", {}, label), strip);
  });
  target.replaceChildren(...blocks);
}

/// Full screen. Left and right: steps. Up and down: the panels of the row. The second image lies over the first, up to the slider.
function openViewer(run, index, row, column) {
  const viewer = document.getElementById("viewer");
  let over = -1, share = 50;
  const draw = () => {
    const preview = run.previews[index], panels = preview.rows[row];
    column = Math.min(column, panels.length - 1);
    const shown = panels[column];
    const stage = control("div", { className: "stage" });
    const layer = panel => {
      const picture = control("img", { src: sourceOf(run, panel), alt: altOf(preview, row, panel.label) });
      if (panel.width < 400) picture.className = "pixels";
      stage.append(picture);
      return picture;
    };
    layer(shown);
    const controls = control("div", { className: "controls" });
    const close = control("button", { type: "button" }, "Close");
    close.onclick = () => viewer.close();
    const select = control("select", { ariaLabel: "Compare with" }, control("option", { value: -1 }, "compare with …"),
      ...panels.map((panel, i) => control("option", { value: i, selected: i === over, disabled: i === column }, panel.label)));
    select.onchange = () => { over = +select.value; draw(); };
    controls.append(close, control("strong", {}, `${shown.label} · epoch ${preview.epoch}, step ${preview.step}`), select);
    if (over >= 0 && over < panels.length && over !== column) {
      const picture = layer(panels[over]);
      const swipe = control("input", { type: "range", min: 0, max: 100, value: share, ariaLabel: `${panels[over].label} over ${shown.label}` });
      const clip = () => { share = +swipe.value; picture.style.clipPath = `inset(0 ${100 - share}% 0 0)`; };
      swipe.oninput = clip;
      clip();
      controls.append(control("label", { className: "wide" }, `${panels[over].label} `, swipe, ` ${shown.label}`));
    }
    viewer.replaceChildren(controls, stage, control("p", {}, "Left and right: steps. Up and down: input, output, target. Esc: close."));
  };
  viewer.onkeydown = event => {
    if (event.target.type === "range") return;
    const count = run.previews[index].rows[row].length;
    const moves = {
      ArrowLeft: () => { index = Math.max(index - 1, 0); }, ArrowRight: () => { index = Math.min(index + 1, run.previews.length - 1); },
      ArrowUp: () => { column = (column + count - 1) % count; }, ArrowDown: () => { column = (column + 1) % count; },
    };
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
    if (!run.previews[index].rows[row]) row = 0;
    draw();
  };
  draw();
  viewer.showModal();
}
