"""Looks at the page of a running wanctl in headless Chromium, as people do, and says what is wrong.

look.py URL DIRECTORY: pictures go into the directory. The line collapses twelve seconds after the start.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import websocket

URL, PICTURES = sys.argv[1], sys.argv[2]
wrong = []


def check(good, what):
    if not good:
        wrong.append(what)
        print("WRONG:", what)


class Browser:
    """Chromium, spoken to by its DevTools protocol."""

    def __init__(self):
        self.home = tempfile.mkdtemp(prefix="wanctl-browser-")
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                 "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.home}"]
        self.process = subprocess.Popen(["chromium", *flags, "about:blank"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        port = next(line.split("127.0.0.1:")[1].split("/")[0] for line in self.process.stderr if "DevTools listening" in line)
        tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
        tab = next(tab for tab in tabs if tab["type"] == "page")
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=30)
        self.number, self.events = 0, []

    def do(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def ask(self, expression):
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression, what, patience=30.0):
        end = time.time() + patience
        while time.time() < end:
            # What is not there yet is no error.
            if self.ask(f"(() => {{ try {{ return !!({expression}) }} catch {{ return false }} }})()"):
                return True
            time.sleep(0.2)
        check(False, f"{what}, within {patience:.0f} s; the page says: {self.ask('document.body.innerText')[:1500]}")
        return False

    def picture(self, name):
        data = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        with open(f"{PICTURES}/{name}.png", "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def dress(browser, width, theme):
    browser.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    browser.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])


def light(color):
    parts = [float(x) for x in color[color.index("(") + 1:-1].split(",")[:3]]
    return sum(parts) / 3


def look(browser):
    for domain in ["Page", "Runtime", "Network", "Log", "Accessibility"]:
        browser.do(f"{domain}.enable")
    dress(browser, 1440, "light")
    browser.do("Page.navigate", url=URL)
    # In the first seconds: fine.
    browser.until("document.querySelector('h1').textContent === 'Your lines are fine'", "the page says that all is fine")
    browser.until("document.querySelectorAll('svg').length >= 6", "charts of both lines")
    before = browser.ask("document.querySelector('#wans').innerText + document.querySelector('#loop').innerText")
    time.sleep(2.5)
    after = browser.ask("document.querySelector('#wans').innerText + document.querySelector('#loop').innerText")
    check(before != after, "values change live")
    browser.picture("fine-1440-light")
    # Then one line collapses, and calls leave it.
    browser.until("document.querySelector('h1').textContent === 'cable is no good for calls: new ones leave through dsl'",
                  "the verdict tells of the turn")
    browser.until("/leave through dsl instead of cable/.test(document.querySelector('#events').innerText)",
                  "the event is in the list, with its reason")
    check("lost capacity" in browser.ask("document.querySelector('#pairs').innerText"), "the score says what it is made of")
    check(browser.ask("document.querySelector('#pairs').innerText.includes('(in use)')"), "the WAN in use is named")
    backgrounds = {}
    for width in [1440, 360]:
        for theme in ["light", "dark"]:
            dress(browser, width, theme)
            browser.do("Page.navigate", url=URL)
            browser.until("document.querySelectorAll('svg').length >= 6", f"charts at {width} px, {theme}")
            wide = browser.ask("document.documentElement.scrollWidth")
            check(wide <= width, f"{wide} px of page on {width} px of screen, {theme}")
            backgrounds[theme] = light(browser.ask("getComputedStyle(document.body).backgroundColor"))
            small = browser.ask("""[...document.querySelectorAll('button, a, input')].filter(x => x.offsetParent
                && Math.min(x.offsetWidth, x.offsetHeight) < 12).map(x => x.outerHTML)""")
            check(not small, f"too small to touch at {width} px: {small}")
            browser.picture(f"steered-{width}-{theme}")
    check(backgrounds["light"] > 200 > 80 > backgrounds["dark"], f"two themes: {backgrounds}")
    # With the keyboard alone.
    browser.ask("document.querySelector('button[data-tier=cycles]').focus()")
    for kind in ["keyDown", "keyUp"]:
        browser.do("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    browser.until("document.querySelector('button[data-tier=cycles]').getAttribute('aria-pressed') === 'true'",
                  "a button is pressed with the keyboard")
    accessible(browser)
    for event in browser.events:
        kind, params = event.get("method"), event.get("params", {})
        if kind == "Network.requestWillBeSent":
            url = params["request"]["url"]
            check(url.startswith(URL) or url.startswith("data:"), f"a request leaves the page's origin: {url}")
        elif kind == "Runtime.exceptionThrown":
            check(False, f"an exception: {params['exceptionDetails']}")
        elif kind == "Log.entryAdded":
            check(params["entry"]["level"] != "error", f"an error on the console: {params['entry']}")
        elif kind == "Runtime.consoleAPICalled":
            check(params["type"] not in ("error", "warning"), f"on the console: {params['args']}")
    size = len(browser.ask(f"fetch('{URL}').then(a => a.text())").encode())
    check(10_000 < size < 100_000, f"the page is of {size} bytes")
    print(f"page of {size} bytes, {sum(e.get('method') == 'Network.requestWillBeSent' for e in browser.events)} requests")


def accessible(browser):
    """What a screen reader finds."""
    nodes = [n for n in browser.do("Accessibility.getFullAXTree")["nodes"] if not n.get("ignored")]
    roles = {}
    for node in nodes:
        roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ["button", "link", "checkbox", "img", "image", "region", "table", "textbox"]:
        for name in roles.get(role, []):
            check(name.strip() or role == "table", f"a {role} without a name")
    check(len(roles.get("button", [])) >= 5, "buttons")
    check(len(roles.get("img", []) + roles.get("image", [])) >= 6, f"charts have names: {sorted(roles)}")
    check(len(roles.get("heading", [])) >= 6, f"headings: {roles.get('heading')}")
    check(len(roles.get("status", [])) >= 1, "the verdict is told when it changes")
    check("main" in roles, "a main part")
    print("roles:", {role: len(names) for role, names in sorted(roles.items())})


browser = Browser()
try:
    look(browser)
finally:
    browser.close()
print("something is wrong" if wrong else "all is well")
sys.exit(bool(wrong))
