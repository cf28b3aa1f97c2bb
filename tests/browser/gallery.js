// Clicks through a gallery; `.ci/browser` puts it at the end of the page and reads the title.
const errors = [];
window.onerror = message => errors.push(message);
const check = (holds, what) => { if (!holds) errors.push(what); };
try {
  const source = () => document.querySelector("#preview-rows img").src;
  const newest = source();
  const slider = document.getElementById("step-slider");
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  check(source() !== newest, "the slider shows another step");
  document.querySelectorAll("#preview-controls button")[1].click();
  check(+slider.value === 1, "the button goes one step on");
  document.querySelectorAll("#preview-rows button")[1].click();
  const viewer = document.getElementById("viewer");
  check(viewer.open, "an image opens");
  const shown = () => viewer.querySelector(".stage img").src;
  const press = key => viewer.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const before = shown();
  press("ArrowLeft");
  check(shown() !== before, "an arrow key shows another step");
  press("ArrowRight");
  press("ArrowUp");
  check(shown() !== before, "an arrow key shows another panel");
  const select = viewer.querySelector("select");
  select.value = "1";
  select.onchange();
  check(viewer.querySelectorAll(".stage img").length === 2, "two images are compared");
  viewer.querySelector("button").click();
  check(!viewer.open, "the viewer closes");
  const chart = document.querySelector(".chart svg");
  chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
  check(!document.querySelector(".chart .tip").hidden, "the keyboard reads a value");
  const path = () => document.querySelector(".chart polyline:last-of-type").getAttribute("points");
  const drawn = path();
  document.getElementById("smoothing").value = 0.98;
  document.getElementById("smoothing").dispatchEvent(new Event("input"));
  check(path() !== drawn, "smoothing changes the curve");
  const views = document.querySelector("#preview-controls select");
  views.value = "0";
  views.onchange();
  check(document.querySelectorAll(".strip").length > 1, "one image is shown over all steps");
  window.galleryData(runs.map(run => ({ ...run, summary: "newer data" })));
  check(document.getElementById("status").textContent === "newer data", "newer data is shown");
  check(document.querySelectorAll("img:not([alt]), button:not([aria-label]):empty").length === 0, "everything has a name");
} catch (error) {
  errors.push(String(error));
}
document.title = `RESULT ${errors.join("; ") || "ok"}`;
