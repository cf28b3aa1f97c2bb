"""Exports trained models as pages, opens these in a browser, and compares what they make with `gan-cli translate`.

    web.py PROGRAM BROWSER PACKAGE WORK [FOLDER]

PACKAGE is the `.tgz` of ONNX Runtime Web. WORK has the runs `demo` (drawn facades), `two-ways` (two directions) and `plain-labels`
(label maps with instances), and the folder `streets`. Screenshots go to FOLDER. Prints `ok` and speeds, or what is wrong.
"""

import functools
import http.server
import os
import shutil
import struct
import subprocess
import sys
import threading
import zlib

from chromium import EVERY_PAGE, Browser

problems = []
# Nothing but this machine can be reached.
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
# A GPU that the processor imitates.
GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Largest difference in levels, and the number of samples that differ, of the result and a file.
DIFFERENCE = """(async file => {
  const pixels = async blob => {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    return canvas.getImageData(0, 0, bitmap.width, bitmap.height);
  };
  const made = await pixels(state.result), wanted = await pixels(await (await fetch(file)).blob());
  if (made.width !== wanted.width || made.height !== wanted.height) return [256, `${made.width} x ${made.height} and ${wanted.width} x ${wanted.height}`];
  let most = 0, count = 0;
  made.data.forEach((level, i) => {
    const difference = Math.abs(level - wanted.data[i]);
    most = Math.max(most, difference);
    count += difference > 0;
  });
  return [most, count];
})"""
RESULT = "state.result.arrayBuffer().then(bytes => new Uint8Array(bytes).reduce((sum, v) => (sum * 31 + v) % 4294967291, 7))"


def check(holds, what):
    if not holds:
        problems.append(what)


def noise(path, width, height):
    """A colour image whose sides are multiples of nothing."""
    rows = b"".join(
        b"\0" + bytes((x * 7 * (c + 1) + y * 5 + (x * x * y) % 53) % 256 for x in range(width) for c in range(3)) for y in range(height)
    )
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Host(http.server.SimpleHTTPRequestHandler):
    """What `python3 -m http.server` runs."""

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A browser that leaves a page breaks its connections."""


def serve(folder):
    server = Server(("127.0.0.1", 0), functools.partial(Host, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def loaded(browser, url, **how):
    browser.open(url, **how)
    browser.until("state.model", 120)


def settled(browser):
    browser.until("!state.busy && !state.dirty && state.result", 120)


def give(browser, work, name):
    """Chooses the file that `translate` was given, in its own size."""
    if name == "labels":
        browser.choose_file("#file", f"{work}/streets/test_label/00000.png")
        browser.until("board.width === 64 && state.way === 'draw'")
        # It may have come while the first drawing was translated.
        browser.run("request()")
        return
    browser.run("(e => { e.value = 'own'; e.dispatchEvent(new Event('change')); })(byId('size'))")
    browser.choose_file("#file", f"{work}/noise.png")
    browser.until("state.way === 'image' && !byId('input').hidden")


def compare(browser, name, allowed=1):
    settled(browser)
    most, count = browser.run(f"{DIFFERENCE}('../{name}.png')")
    check(most <= allowed, f"{name}: the page makes another image than translate: {most} levels, {count} samples")
    return f"{name} {most} level{'' if most == 1 else 's'}, {count} samples"


def clicks(browser, url, work, shots):
    shot = (lambda name: browser.shot(f"{shots}/web-{name}.png")) if shots else lambda name: None
    said = []
    # Drawn facades: an image of its own size, and a drawing.
    loaded(browser, f"{url}/demo/")
    check(browser.run("byId('engine').dataset.backend") == "wasm", "a browser without a GPU takes WebAssembly")
    check(browser.run("/MB.*MB.*MB/.test(byId('engine').textContent)"), "the page says what was loaded")
    settled(browser)
    first = browser.run(RESULT)
    browser.run("[...byId('palette').children].find(b => b.textContent === 'door').click()")
    browser.mouse("#board", (0.2, 0.3), (0.5, 0.4), (0.8, 0.7))
    settled(browser)
    check(browser.run(RESULT) != first, "a stroke makes another result")
    shot("drawing-1280-light")
    give(browser, work, "demo")
    said.append(compare(browser, "demo"))
    shot("image-1280-light")
    for width, dark in [(1280, True), (390, False), (390, True)]:
        loaded(browser, f"{url}/demo/", width=width, height=844 if width < 400 else 900, dark=dark, touch=width < 400)
        settled(browser)
        problems.extend(f"{width} px, {'dark' if dark else 'light'}: {what}" for what in browser.run(EVERY_PAGE))
        shot(f"drawing-{width}-{'dark' if dark else 'light'}")
    # Each direction of CycleGAN, and 16 bits.
    for name, allowed in [("forth", 1), ("back", 1), ("half", 5)]:
        loaded(browser, f"{url}/{name}/")
        give(browser, work, name)
        said.append(compare(browser, name, allowed))
    # Label maps.
    loaded(browser, f"{url}/labels/")
    check(not browser.run("byId('way-camera')"), "no camera makes label maps")
    settled(browser)
    give(browser, work, "labels")
    said.append(compare(browser, "labels"))
    before = browser.run(RESULT)
    browser.mouse("#board", (0.2, 0.3), (0.8, 0.7))
    settled(browser)
    check(browser.run(RESULT) != before, "a stroke on a label map makes another result")
    problems.extend(f"labels: {what}" for what in browser.run(EVERY_PAGE))
    shot("labels-1280-light")
    browser.run("take(new File(['text'], 'x.png', { type: 'image/png' }))")
    browser.until("byId('status').classList.contains('wrong')")
    check("label" in browser.run("byId('status').textContent"), "what is no label map is refused")
    # A browser without a camera. What is computed for the drawing meanwhile does not cover what is said of the camera, nor do settings that change.
    loaded(browser, f"{url}/demo/")
    settled(browser)
    browser.run("board.clear(); request(); byId('way-camera').click()")
    browser.until("byId('status').classList.contains('wrong')")
    browser.run("request()")
    browser.until("!state.busy")
    text = browser.run("byId('status').textContent")
    check("camera" in text, f"a missing camera is said: {text}")
    problems.extend(f"the browser says: {error}" for error in browser.errors)
    return ", ".join(said)


def failures(browser, url, work):
    """Pages that cannot work say why."""
    for path, words in [
        (f"{url}/cut/", "model.onnx is damaged"),
        (f"{url}/empty/", "model.onnx cannot be loaded: the host answers 404"),
        (f"file://{work}/pages/demo/index.html", "opened as a file"),
    ]:
        browser.open(path)
        browser.until("!/^(Load|Prepar)/.test(byId('about').textContent)")
        text = browser.run("byId('about').textContent")
        check(words in text, f"{path} says: {text}")
        check(browser.run("byId('main').hidden"), f"{path}: nothing can be chosen")
        problems.extend(f"{path}: {what}" for what in browser.run(EVERY_PAGE))
    return "failures are said"


def gpu(browser, url, work):
    loaded(browser, f"{url}/demo/")
    check(browser.run("byId('engine').dataset.backend") == "wasm", "an imitated GPU is not taken by itself")
    if not browser.run("navigator.gpu?.requestAdapter()?.then(Boolean)"):
        return "no WebGPU in this browser"
    said = []
    for name in ["demo", "forth", "labels"]:
        loaded(browser, f"{url}/{name}/?backend=webgpu")
        check(browser.run("byId('engine').dataset.backend") == "webgpu", "the address chooses WebGPU")
        give(browser, work, name)
        said.append(compare(browser, name))
    problems.extend(f"the browser says: {error}" for error in browser.errors)
    return f"WebGPU: {', '.join(said)}"


def camera(browser, url, shots):
    loaded(browser, f"{url}/demo/")
    browser.click("#way-camera")
    browser.until("/[0-9] images a second/.test(byId('status').textContent)", 60)
    speed = browser.run("byId('status').textContent")
    check(browser.run("byId('live').width > 0 && !byId('live').hidden"), "frames are shown")
    problems.extend(f"camera: {what}" for what in browser.run(EVERY_PAGE))
    if shots:
        browser.shot(f"{shots}/web-camera-1280-light.png")
    browser.click("#keep")
    browser.until("state.way === 'image' && !byId('input').hidden")
    settled(browser)
    check(not browser.run("camera.stream"), "the camera is off once a frame is kept")
    problems.extend(f"the browser says: {error}" for error in browser.errors)
    return f"camera {speed}"


def main():
    program, chromium, package, work, *more = sys.argv[1:]
    shots = more[0] if more else None
    run = lambda *words: subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pages, image, labels = f"{work}/pages", f"{work}/noise.png", f"{work}/streets/test_label/00000.png"
    noise(image, 75, 50)
    for name, model, source, export, translate in [
        ("demo", "demo", image, [], []),
        ("forth", "two-ways", image, [], []),
        ("back", "two-ways", image, ["--direction", "b2a"], ["--direction", "b2a"]),
        ("half", "two-ways", image, ["--backend", "wasm", "--precision", "f16"], []),
        ("labels", "plain-labels", labels, [], ["--inst", labels]),
    ]:
        run("export", "web", f"{work}/{model}", f"{pages}/{name}", "--runtime", package, *export)
        run("translate", f"{work}/{model}", source, f"{pages}/{name}.png", *translate)
    for name in ["cut", "empty"]:
        shutil.copytree(f"{pages}/half", f"{pages}/{name}")
    os.truncate(f"{pages}/cut/model.onnx", os.path.getsize(f"{pages}/cut/model.onnx") // 2)
    os.remove(f"{pages}/empty/model.onnx")
    url, said = serve(pages), []
    try:
        for flags, steps in [
            ([], lambda browser: clicks(browser, url, work, shots)),
            ([], lambda browser: failures(browser, url, work)),
            (CAMERA, lambda browser: camera(browser, url, shots)),
            (GPU, lambda browser: gpu(browser, url, work)),
        ]:
            browser = Browser(chromium, ALONE, *flags)
            try:
                said.append(steps(browser))
            finally:
                browser.close()
    except Exception as error:
        problems.append(f"{error}; {browser.errors}")
    print("; ".join(problems) or f"ok ({'; '.join(said)})")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
