"""A headless Chromium behind a pipe: pages, key presses, pictures. The standard library only."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find():
    """The program, or None. MISTRAL_TEST_CHROMIUM names another."""
    named = os.environ.get("MISTRAL_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """with Browser(program) as browser: browser.open(path); browser.evaluate("1 + 1")

    There is no network: whatever a page asks for fails, and is listed in requests. complaints has
    what went to the console, violations of the page's own policy among it.
    """

    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory(prefix="mv-test-browser-")
        to_browser, self.out = os.pipe()
        self.back, from_browser = os.pipe()
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--remote-debugging-pipe", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-extensions", "--disable-background-networking",
                   "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
                   "--user-data-dir=" + self.folder.name, "about:blank"]

        def pass_on():  # Chromium reads 3 and writes 4
            os.dup2(to_browser, 13)
            os.dup2(from_browser, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        with open(os.devnull, "wb") as nowhere:
            self.process = subprocess.Popen(command, preexec_fn=pass_on, close_fds=False,
                                            stdin=nowhere, stdout=nowhere, stderr=nowhere)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.session = b"", 0, None
        self.requests, self.complaints, self.events = [], [], []

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        return self

    def __exit__(self, *_):
        os.close(self.out)
        os.close(self.back)
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def read(self):
        while b"\0" not in self.buffer:
            some = os.read(self.back, 1 << 16)
            if not some:
                raise RuntimeError("the browser is gone")
            self.buffer += some
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, message):
        self.events.append(message.get("method"))
        what, data = message.get("method"), message.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(data["exceptionDetails"])[:500])
        elif what == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(data["args"])[:500])
        elif what == "Log.entryAdded":
            self.complaints.append(data["entry"]["text"])

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def open(self, path, scripts=True):
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.requests, self.complaints, self.events = [], [], []
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            self.note(self.read())

    def evaluate(self, code):
        """The value of a JavaScript expression; waits for a promise."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True,
                           awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode={"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39,
                                             "ArrowLeft": 37, "Home": 36, "End": 35}[key])

    def look(self, width=1280, height=900, dark=False, media="screen"):
        """The size of the window, and what the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media=media, features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self):
        """What is in the window, as the bytes of a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def print(self):
        """The bytes of a PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])
