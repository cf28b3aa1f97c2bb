"""Clicks through the page of `gan-cli serve`, and that of `gan-cli watch`.

    serve.py serve BROWSER URL IMAGE [FOLDER]    models: one of drawn facades, one of two directions, one of label maps with styles
    serve.py watch BROWSER URL [FOLDER]

IMAGE is a PNG. Screenshots go to FOLDER. Prints `ok`, or what is wrong.
"""

import sys

from chromium import EVERY_PAGE, Browser

problems = []


def check(holds, what):
    if not holds:
        problems.append(what)


def everywhere(browser, where):
    for what in browser.run(EVERY_PAGE):
        problems.append(f"{where}: {what}")


def settled(browser):
    """Waits until no request is under way."""
    browser.until("!state.busy && !state.dirty && byId('output').naturalWidth > 0")


def result(browser):
    """What tells one result from another: the sum of its bytes."""
    settled(browser)
    return browser.run(
        "state.result.arrayBuffer().then(bytes => new Uint8Array(bytes).reduce((sum, v) => (sum * 31 + v) % 4294967291, 7))"
    )


def drawn(browser):
    return browser.run("board.map.reduce((sum, v) => (sum * 31 + v) % 4294967291, 7)")


def select(browser, selector, index):
    browser.run(f"(e => {{ e.selectedIndex = {index}; e.dispatchEvent(new Event('change')); }})(document.querySelector({selector!r}))")


def serve(browser, url, picture, shots):
    shot = (lambda name: browser.shot(f"{shots}/{name}.png")) if shots else lambda name: None
    browser.open(url)
    browser.until("state.model")
    # Drawn facades: the page begins with a drawing, and its result.
    check(browser.run("state.way") == "draw", "a model of drawings begins with the canvas")
    first, before = result(browser), drawn(browser)
    check(browser.run("byId('palette').children.length") == 13, "a button for each label")
    everywhere(browser, "drawing")
    browser.run("[...byId('palette').children].find(b => b.textContent === 'door').click()")
    browser.mouse("#board", (0.2, 0.3), (0.5, 0.4), (0.8, 0.7))
    check(drawn(browser) != before, "a stroke is drawn")
    second = result(browser)
    check(second != first, "a stroke makes another result")
    shot("drawing-1280-light")
    browser.click("#undo")
    check(drawn(browser) == before, "undo takes the stroke back")
    check(result(browser) == first, "the same drawing has the same result")
    browser.click("#redo")
    check(drawn(browser) != before, "redo brings it again")
    browser.click("[data-tool=box]")
    marked = drawn(browser)
    browser.mouse("#board", (0.1, 0.1), (0.3, 0.2))
    check(drawn(browser) != marked, "the box is drawn")
    browser.click("[data-tool=fill]")
    marked = drawn(browser)
    browser.mouse("#board", (0.02, 0.02))
    check(drawn(browser) != marked, "an area is filled")
    browser.click("[data-tool=brush]")
    # The keyboard alone.
    browser.run("byId('board').focus()")
    marked = drawn(browser)
    for key, code in [("ArrowRight", 39), ("ArrowDown", 40), (" ", 32)]:
        browser.key(key, code)
    browser.key("]", 221)
    check(drawn(browser) != marked, "the keyboard paints")
    browser.run("byId('palette').querySelector('[tabindex=\"0\"]').focus()")
    label = browser.run("board.index")
    browser.key("ArrowDown", 40)
    check(browser.run("board.index") == label + 1, "an arrow key chooses the next label")
    settled(browser)
    browser.mouse("#compare", (0.2, 0.5), (0.4, 0.5))
    check(browser.run("state.way === 'draw' && Math.abs(byId('swipe').value - 40) < 8"), "the mouse swipes over a drawing, and drops nothing")
    # An image.
    browser.choose_file("#file", picture)
    browser.until("state.way === 'image' && !byId('input').hidden")
    of_image = result(browser)
    check(of_image != second, "an image has a result of its own")
    check("×" in browser.run("byId('status').textContent"), "size and time are said")
    everywhere(browser, "image")
    browser.run("byId('swipe').focus()")
    for _ in range(5):
        browser.key("PageUp", 33)
    check("inset" in browser.run("byId('over').style.clipPath") and browser.run("byId('swipe').value") != "0", "the keyboard swipes")
    browser.mouse("#compare", (0.3, 0.5), (0.5, 0.5))
    check(browser.run("Math.abs(byId('swipe').value - 50) < 8"), "the mouse swipes")
    shot("swipe-1280-light")
    check(not browser.run("byId('download').disabled"), "the result can be downloaded")
    select(browser, "#size", 0)
    settled(browser)
    small = browser.run("byId('output').naturalWidth")
    check(small == min(browser.run("[...byId('size').options].map(o => +o.value).filter(v => v)")), "the size is that of the list")
    # Something that is no image.
    browser.run("take(new File(['text'], 'x.png', { type: 'image/png' }))")
    browser.until("byId('status').classList.contains('wrong')")
    everywhere(browser, "after an error")
    browser.choose_file("#file", picture)
    browser.until("!byId('status').classList.contains('wrong')")
    # Checkpoints.
    steps = browser.run("state.model.steps.length")
    if steps > 1:
        newest = result(browser)
        select(browser, "#step", steps - 1)
        check(result(browser) != newest, "an earlier checkpoint has another result")
    # Two directions.
    select(browser, "#model", 1)
    browser.until("state.model.directions.length === 2")
    check(browser.run("state.way") == "image", "the image stays")
    forth = result(browser)
    browser.click("[data-direction=b2a]")
    check(result(browser) != forth, "the other direction has another result")
    everywhere(browser, "two directions")
    # Label maps and styles.
    select(browser, "#model", 2)
    browser.until("state.model.draw.tool === 'labels'")
    browser.click("#way-draw")
    plain = result(browser)
    styles = []
    for style in [1, 2, 3, 4]:
        browser.run(f"(e => {{ e.value = {style}; e.dispatchEvent(new Event('input')); }})(byId('style'))")
        styles.append(result(browser))
    check(any(style != plain for style in styles), "styles differ")
    browser.mouse("#board", (0.2, 0.3), (0.8, 0.7))
    check(result(browser) != styles[-1], "a stroke on a label map makes another result")
    everywhere(browser, "labels")
    shot("labels-1280-light")
    expected = [error for error in browser.errors if "422" not in error and "favicon" not in error]
    problems.extend(f"the browser says: {error}" for error in expected)
    browser.errors.clear()
    # Small and dark.
    for width, dark in [(1280, True), (390, False), (390, True)]:
        browser.open(url, width=width, height=844 if width < 400 else 900, dark=dark, touch=width < 400)
        browser.until("state.model")
        settled(browser)
        everywhere(browser, f"{width} px, {'dark' if dark else 'light'}")
        shot(f"drawing-{width}-{'dark' if dark else 'light'}")
        browser.choose_file("#file", picture)
        browser.until("state.way === 'image' && !byId('input').hidden")
        settled(browser)
        shot(f"image-{width}-{'dark' if dark else 'light'}")
        check(browser.run("byId('photo-row').hidden") == (width > 400), "a phone can take a photo")
    problems.extend(f"the browser says: {error}" for error in browser.errors)


def watch(browser, url, shots):
    for width, dark in [(1280, False), (390, True)]:
        browser.open(url, width=width, dark=dark)
        browser.until("document.querySelectorAll('.chart').length > 2")
        check(browser.run("runs.length") == 2, "two runs")
        check(browser.run("document.querySelectorAll('#runs input').length") == 2, "each run can be hidden")
        browser.until("[...document.querySelectorAll('#preview-rows img')].some(image => image.naturalWidth > 0)")
        chart = "[...document.querySelectorAll('.chart')].find(chart => chart.textContent.startsWith('learning rate'))"
        lines = f"{chart}.querySelectorAll('polyline:not(.raw)').length"
        check(browser.run(lines) == 2, "curves lie over one another")
        browser.click("#runs input")
        check(browser.run(lines) == 1, "one run can be hidden")
        browser.click("#runs input")
        check(browser.run("live.textContent.length > 0 && connected"), "the page says that it is connected")
        browser.run("source.onmessage({ data: JSON.stringify(runs.map(run => ({ ...run, summary: 'newer data' }))) })")
        check(browser.run("byId('runs').textContent.includes('newer data')"), "newer data is shown")
        everywhere(browser, f"watch, {width} px")
        if shots:
            browser.shot(f"{shots}/watch-{width}-{'dark' if dark else 'light'}.png", whole=False)
    problems.extend(f"the browser says: {error}" for error in browser.errors if "favicon" not in error)


def main():
    kind, program, url, *more = sys.argv[1:]
    browser = Browser(program)
    try:
        if kind == "serve":
            serve(browser, url, more[0], more[1] if len(more) > 1 else None)
        else:
            watch(browser, url, more[0] if more else None)
    except Exception as error:
        problems.append(f"{error}; {browser.errors}")
    finally:
        browser.close()
    print("; ".join(problems) or "ok")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
