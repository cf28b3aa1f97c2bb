// Newer data as the server sends it, and how old it is.
const live = document.createElement("p");
live.id = "live";
live.className = "quiet";
document.querySelector("header").append(live);
let connected = true;

function age(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function tell() {
  if (!connected) {
    live.textContent = "Not connected: the server has ended, or cannot be reached. Trying again.";
    return;
  }
  const going = runs.filter(run => !run.finished);
  if (!going.length) {
    live.textContent = runs.length > 1 ? "All runs have ended." : "The run has ended.";
    return;
  }
  const newest = Math.max(...going.map(run => run.written || 0));
  const seconds = Date.now() / 1000 - newest;
  const stale = seconds > 300 ? " Training may have stopped." : "";
  live.textContent = newest ? `Live. Last change ${age(seconds)} ago.${stale}` : "Live.";
}

const source = new EventSource("/events");
source.onmessage = event => {
  connected = true;
  window.galleryData(JSON.parse(event.data));
  tell();
};
source.onerror = () => { connected = false; tell(); };
setInterval(tell, 5000);
tell();
