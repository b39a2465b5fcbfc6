"""A headless Chromium behind a pipe: pages, key presses, pictures. The standard library only."""

import base64
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find():
    """The program, or None. MISTRAL_TEST_CHROMIUM names another."""
    named = os.environ.get("MISTRAL_TEST_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


START_S, ANSWER_S = 90, 120  # on a machine that others use, too


class Gone(RuntimeError):
    """The browser ended, or did not answer in time and was ended. Nothing can be asked of it."""


class CannotStart(Gone):
    """It never answered: a matter of the machine and not of a page."""


class Browser:
    """with Browser(program) as browser: browser.open(path); browser.evaluate("1 + 1")

    There is no network: whatever a page asks for fails, and is listed in requests. complaints has
    what went to the console, violations of the page's own policy among it. Each question has
    ANSWER_S; then the browser and all its processes are ended, and Gone is raised.
    """

    def __init__(self, program, limit_s=ANSWER_S, start_s=START_S):
        self.limit_s, self.start_s, self.deadline = limit_s, start_s, None
        self.is_late, self.is_closed = False, threading.Event()
        self.folder = tempfile.TemporaryDirectory(prefix="mv-test-browser-")
        to_browser, self.out = os.pipe()
        self.back, from_browser = os.pipe()
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--remote-debugging-pipe", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-extensions", "--disable-background-networking",
                   "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
                   "--user-data-dir=" + self.folder.name, "about:blank"]

        def pass_on():  # Chromium reads 3 and writes 4
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: if this test is killed
            os.dup2(to_browser, 13)
            os.dup2(from_browser, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        self.words = tempfile.TemporaryFile()  # what it says when it cannot start
        try:
            with open(os.devnull, "rb") as nothing:
                self.process = subprocess.Popen(command, preexec_fn=pass_on, close_fds=False,
                                                stdin=nothing, stdout=self.words,
                                                stderr=self.words, start_new_session=True)
        except (OSError, subprocess.SubprocessError) as problem:
            for end in (self.out, self.back):
                os.close(end)
            self.folder.cleanup()
            raise CannotStart(f"{program}: {problem}") from problem
        finally:
            os.close(to_browser)
            os.close(from_browser)
        self.buffer, self.number, self.session = b"", 0, None
        self.requests, self.complaints, self.events = [], [], []
        self.watch = threading.Thread(target=self.watch_time, daemon=True)
        self.watch.start()

    def __enter__(self):
        limit_s, self.limit_s = self.limit_s, self.start_s
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target,
                                     flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(domain + ".enable")
        except Gone as problem:
            self.words.seek(0)
            said = [line.strip() for line in self.words.read().decode("utf-8", "replace").split("\n")
                    if line.strip()]
            self.__exit__()
            raise CannotStart(f"{problem}" + (f": {said[-1][:200]}" if said else "")) from problem
        except BaseException:
            self.__exit__()
            raise
        self.limit_s = limit_s
        return self

    def end_all(self):
        """Ends its processes, those that draw pages among them."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __exit__(self, *_):
        self.is_closed.set()
        self.end_all()
        self.process.wait()
        self.watch.join()
        os.close(self.out)
        os.close(self.back)
        self.words.close()
        for _ in range(20):  # a process that is being ended may still make a file
            try:
                self.folder.cleanup()
                return
            except OSError:
                time.sleep(0.1)

    def watch_time(self):
        """Whatever waits for the browser, to read or to write, goes on when the browser is ended."""
        while not self.is_closed.wait(0.5):
            deadline = self.deadline
            if deadline is not None and time.monotonic() > deadline:
                self.is_late = True
                self.end_all()
                return

    def gone(self):
        return Gone(f"the browser did not answer for {self.limit_s} s" if self.is_late
                    else "the browser is gone")

    def read(self):
        while b"\0" not in self.buffer:
            some = os.read(self.back, 1 << 16)
            if not some:
                raise self.gone()
            self.buffer += some
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def write(self, data):
        while data:
            try:
                data = data[os.write(self.out, data):]
            except OSError as problem:
                raise self.gone() from problem

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
        self.deadline = time.monotonic() + self.limit_s
        self.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                self.deadline = None
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def open(self, path, scripts=True):
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.requests, self.complaints, self.events = [], [], []
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        self.deadline = time.monotonic() + self.limit_s
        while "Page.loadEventFired" not in self.events:
            self.note(self.read())
        self.deadline = None

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
