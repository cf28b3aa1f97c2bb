// Frames of a camera, each translated as soon as the one before is done.
const camera = { stream: null, turn: 0 };

const REFUSALS = {
  NotFoundError: "There is no camera.",
  NotAllowedError: "The browser does not allow the camera. Allow it beside the address, then choose Camera again.",
  NotReadableError: "The camera does not start: another program may be using it.",
};

async function startCamera() {
  const turn = ++camera.turn;
  byId("download").disabled = byId("again").disabled = byId("swipe").disabled = true;
  if (!navigator.mediaDevices) return say("Browsers open the camera only for pages from https:// or localhost.", true);
  say("Asking for the camera …");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    if (turn === camera.turn) say(REFUSALS[error.name] || `The camera does not start: ${error.message}`, true);
    return;
  }
  if (turn !== camera.turn) return release(stream);
  camera.stream = stream;
  try {
    byId("video").srcObject = stream;
    await byId("video").play();
    byId("compare").classList.add("live");
    // Screen readers would read out each count.
    byId("status").setAttribute("aria-live", "off");
    await translateFrames(() => camera.stream === stream);
  } catch (error) {
    if (camera.stream !== stream) return;
    stopCamera();
    say(reason(error), true);
  }
}

function stopCamera() {
  camera.turn++;
  if (camera.stream) release(camera.stream);
  camera.stream = byId("video").srcObject = null;
  byId("compare").classList.remove("live");
  byId("status").removeAttribute("aria-live");
  byId("keep").disabled = true;
  byId("swipe").disabled = false;
}

const release = stream => stream.getTracks().forEach(track => track.stop());

async function translateFrames(isWanted) {
  const video = byId("video"), live = byId("live").getContext("2d");
  const frame = byId("frame"), context = frame.getContext("2d", { willReadFrequently: true });
  let count = 0, since = performance.now();
  while (isWanted()) {
    if (document.hidden || !video.videoWidth) {
      await wait(0.1);
      [count, since] = [0, performance.now()];
      continue;
    }
    const { videoWidth, videoHeight } = video;
    const scale = Math.min((side() || Infinity) / Math.max(videoWidth, videoHeight), Math.sqrt(state.model.max_pixels / (videoWidth * videoHeight)), 1);
    frame.width = Math.max(1, Math.round(videoWidth * scale));
    frame.height = Math.max(1, Math.round(videoHeight * scale));
    context.drawImage(video, 0, 0, frame.width, frame.height);
    const made = await run(ofCanvas(frame, context));
    if (!isWanted()) return;
    Object.assign(live.canvas, { width: made.width, height: made.height });
    live.canvas.style.setProperty("--aspect", `${made.width} / ${made.height}`);
    live.putImageData(made, 0, 0);
    byId("keep").disabled = false;
    count++;
    const seconds = (performance.now() - since) / 1000;
    if (seconds >= 1) {
      say(`${made.width} × ${made.height}, ${(count / seconds).toFixed(1)} images a second`);
      [count, since] = [0, performance.now()];
    }
  }
}

byId("way-camera").onclick = () => chooseWay("camera");
byId("keep").onclick = () => byId("frame").toBlob(blob => take(new File([blob], "frame.png", { type: "image/png" })), "image/png");
document.addEventListener("way", ({ detail: way }) => {
  if (way !== "camera") return stopCamera();
  if (!camera.stream) startCamera();
});
