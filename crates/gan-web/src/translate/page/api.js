// Requests to the server.
const byId = id => document.getElementById(id);
const wait = seconds => new Promise(done => setTimeout(done, seconds * 1000));

async function askModels() {
  const response = await fetch("/v1/models");
  if (!response.ok) throw new Error(await sentence(response));
  return response.json();
}

/// What the server says about a request that it refuses.
async function sentence(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `the server answers ${response.status}`;
  }
}

const reason = error => (error instanceof TypeError ? "The server cannot be reached." : error.message);

/// The translated image as a blob, and the milliseconds that it took. Waits and tries again while the server is busy and the request is wanted.
async function translate(query, body, isWanted) {
  for (let attempt = 0; ; attempt++) {
    const begun = performance.now();
    const response = await fetch(`/v1/translate?${query}`, { method: "POST", headers: { "X-Gan": "1", "Content-Type": "image/png" }, body });
    if (response.ok) return { blob: await response.blob(), ms: performance.now() - begun };
    const retry = response.headers.get("retry-after");
    const said = await sentence(response);
    if (!retry || attempt >= 5) throw new Error(said);
    await wait(Math.min(+retry || 1, 10));
    if (!isWanted()) throw new Error(said);
  }
}
