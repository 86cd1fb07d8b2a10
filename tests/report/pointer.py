#!/usr/bin/env python3
"""Opens a report in headless Chromium, points at it as a person does, and prints what came of it as one
object of JSON. Python's standard library alone: DevTools is spoken over a pipe.

    pointer.py CHROMIUM PAGE FOLDER        pictures (light, dark, scripts off) go into FOLDER
"""
import base64
import json
import os
import select
import subprocess
import sys
import tempfile

ANSWER_S = 40


class Browser:
    def __init__(self, program, profile):
        to_read, self.writer = os.pipe()
        self.reader, to_write = os.pipe()

        def place():  # DevTools reads from 3 and writes to 4; the pipes may themselves be 3 and 4, so by way of 60, 61
            os.dup2(to_read, 60)
            os.dup2(to_write, 61)
            os.dup2(60, 3)
            os.dup2(61, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", "--force-color-profile=srgb", "--hide-scrollbars",
             f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.last, self.pending, self.session, self.events = 0, b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def receive(self):
        while b"\0" not in self.pending:
            if not select.select([self.reader], [], [], ANSWER_S)[0]:
                self.process.kill()
                sys.exit(f"pointer: no answer from the browser for {ANSWER_S} s")
            block = os.read(self.reader, 1 << 20)
            if not block:
                sys.exit("pointer: the browser is gone")
            self.pending += block
        text, self.pending = self.pending.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    sys.exit(f"pointer: {method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())

    def value(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            sys.exit(f"pointer: {script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y, count=1):
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=count)

    def drag(self, begin, end):
        self.mouse("mouseMoved", *begin)
        self.mouse("mousePressed", *begin, button="left", clickCount=1)
        self.mouse("mouseMoved", (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2, button="left", buttons=1)
        self.mouse("mouseMoved", *end, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def picture(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        with open(file, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def open(self, page):
        self.events = [event for event in self.events if event.get("method") != "Page.loadEventFired"]
        self.call("Page.navigate", url="file://" + os.path.abspath(page))
        self.wait("Page.loadEventFired")


def centre(browser, script):
    """The middle of an element on the screen, after scrolling to it."""
    browser.value(f"({script}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
    return browser.value(f"(() => {{ const b = ({script}).getBoundingClientRect();"
                         " return [b.left + b.width / 2, b.top + b.height / 2]; })()")


def plot_of(browser, svg):
    """The plot of a chart on the screen: left, top, width, height."""
    centre(browser, svg)
    return browser.value(f"(() => {{ const s = {svg}, m = s.getScreenCTM(), p = s.dataset.plot.split(' ').map(Number);"
                         " return [m.a * p[0] + m.e, m.d * p[1] + m.f, m.a * p[2], m.d * p[3]]; })()")


def point_at(browser):
    out = {}
    out["background_light"] = browser.value("getComputedStyle(document.body).backgroundColor")
    out["hint_shown"] = browser.value("!document.querySelector('.hint').hidden")

    svg = "document.querySelector('#pareto svg')"
    mark = svg + ".querySelector('.moves circle')"
    x, y = centre(browser, mark)
    browser.mouse("mouseMoved", x + 3, y)
    out["hover"] = browser.value("document.querySelector('#tip').hidden ? null : document.querySelector('#tip').textContent")
    out["hover_says"] = browser.value(mark + ".getAttribute('aria-label')")
    out["hover_inside"] = browser.value("(() => { const b = document.querySelector('#tip').getBoundingClientRect();"
                                        " return b.left >= 0 && b.right <= innerWidth && b.bottom <= innerHeight; })()")
    browser.mouse("mouseMoved", 2, 2)
    out["hover_left"] = browser.value("document.querySelector('#tip').hidden")

    curve = "document.querySelector('[id^=curve] svg')"
    hidden = curve + ".querySelectorAll('.series.hidden').length"
    x, y = centre(browser, curve + ".querySelector('.key')")
    browser.click(x, y)
    out["legend_off"] = browser.value(hidden)
    browser.click(x, y)
    out["legend_on"] = browser.value(hidden)

    ticks = svg + ".querySelectorAll('.ticks:not(.hidden) .tick')"
    texts = f"[...{ticks}].map(t => t.textContent)"
    where = f"[{mark}.getAttribute('cx'), {mark}.getAttribute('cy')]"
    left, top, width, height = plot_of(browser, svg)
    out["ticks_before"], before = browser.value(texts), browser.value(where)
    browser.drag((left + 0.1 * width, top + 0.1 * height), (left + 0.6 * width, top + 0.6 * height))
    out["ticks_zoomed"], out["mark_moved"] = browser.value(texts), browser.value(where) != before
    browser.drag((left + 0.2 * width, top + 0.2 * height), (left + 0.7 * width, top + 0.7 * height))
    out["ticks_twice"] = browser.value(texts)
    x, y = left + width / 2, top + height / 2
    browser.click(x, y)
    browser.click(x, y, count=2)
    out["ticks_back"], out["mark_back"] = browser.value(texts), browser.value(where) == before
    browser.mouse("mouseMoved", 2, 2)
    return out


def main():
    program, page, folder = sys.argv[1:4]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        for domain in ("Page", "Runtime", "Network", "Log"):
            browser.call(domain + ".enable")
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        browser.open(page)
        out = point_at(browser)
        browser.value("scrollTo(0, 0)")
        browser.picture(os.path.join(folder, "light.png"))
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        out["background_dark"] = browser.value("getComputedStyle(document.body).backgroundColor")
        browser.picture(os.path.join(folder, "dark.png"))
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)
        out["too_wide"] = browser.value("document.documentElement.scrollWidth > innerWidth")
        browser.call("Emulation.clearDeviceMetricsOverride")
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(page)
        browser.picture(os.path.join(folder, "scripts_off.png"))
        root = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        count = lambda what: len(browser.call("DOM.querySelectorAll", nodeId=root, selector=what)["nodeIds"])
        out["titles_without_script"], out["tables"] = count("svg title"), count("table")
        out["requests"] = [event["params"]["request"]["url"] for event in browser.events
                           if event.get("method") == "Network.requestWillBeSent"
                           and not event["params"]["request"]["url"].startswith("file://")]
        out["faults"] = [event["params"] for event in browser.events
                         if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
        browser.session = None
        browser.call("Browser.close")
        browser.process.wait()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
