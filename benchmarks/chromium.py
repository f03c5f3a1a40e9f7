"""Drives a headless Chromium over its DevTools protocol: open a page, wait for text, click, type, take a picture.

The protocol is JSON over a web socket (https://chromedevtools.github.io/devtools-protocol/). Clicks and keys go in as
input events, as a person's do, and not through the page's own scripts.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1200, 560
_TIMEOUT_S = 60.0
_POLL_S = 0.1

# Finds the smallest visible element with exactly this text, or the one that a CSS selector names, and gives its middle.
_FIND = """((text, selector) => {
  const seen = e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width;
  const fits = e => seen(e) && (!text || e.textContent.trim() == text);
  const size = e => e.querySelectorAll('*').length;
  const e = [...document.querySelectorAll(selector)].filter(fits).sort((a, b) => size(a) - size(b))[0];
  if (!e) return null;
  e.scrollIntoView({block: 'center'});
  const b = e.getBoundingClientRect();
  return [b.x + b.width / 2, b.y + b.height / 2];
})"""


def find_chromium() -> str | None:
    """Return the installed Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def open_page(user: str, password: str) -> Iterator[Page]:
    """Start a Chromium with one empty page that logs in with user and password; end it afterwards."""
    program = find_chromium()
    assert program, "Chromium is needed: apt install chromium"
    with tempfile.TemporaryDirectory(prefix="closecast-chromium-", ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--no-proxy-server", "--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        process = subprocess.Popen(
            [program, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with connect(_find_target(Path(folder)), max_size=None, proxy=None) as socket:
                yield Page(socket, user, password)
        finally:
            process.terminate()
            process.wait()


def _find_target(folder: Path) -> str:
    port_file = folder / "DevToolsActivePort"
    await_true(port_file.exists, "Chromium must listen")
    await_true(lambda: "\n" in port_file.read_text(), "Chromium must name its port")
    port = port_file.read_text().split()[0]
    with requests.Session() as session:
        session.trust_env = False
        targets = session.get(f"http://127.0.0.1:{port}/json/list", timeout=_TIMEOUT_S).json()
    return str(next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"))


def await_true(condition: Callable[[], bool], said: str) -> None:
    """Wait until something holds; fail with what was waited for."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"{said} within {_TIMEOUT_S:.0f} s"
        time.sleep(_POLL_S)


class Page:
    """One page of a browser."""

    def __init__(self, socket: ClientConnection, user: str, password: str) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._call("Page.enable")
        self._call("Network.enable")
        self._call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {token}"})
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def open(self, url: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url="about:blank")  # else another part of the same address loads nothing
        self._call("Page.navigate", url=url)

    def has(self, text: str, selector: str = "*") -> bool:
        """Whether an element with exactly this text is to be seen."""
        return self._find(text, selector) is not None

    def click(self, text: str = "", *, selector: str = "*") -> None:
        """Click the middle of an element as soon as it is to be seen."""
        await_true(lambda: self.has(text, selector), f"the page must show {text or selector}")
        time.sleep(3 * _POLL_S)  # dialogs slide in
        place = self._find(text, selector)
        assert place is not None
        at = {"x": place[0], "y": place[1]}
        self._call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for event in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=event, button="left", clickCount=1, **at)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self._call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        """Press a key by its name and its virtual code, ("Enter", 13)."""
        said = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", text="\r" if key == "Enter" else "", **said)
        self._call("Input.dispatchKeyEvent", type="keyUp", **said)

    def take_picture(self, path: Path, *, colours: int = 64) -> None:
        """Write what is to be seen as a small PNG."""
        from PIL import Image

        time.sleep(5 * _POLL_S)  # what fades in has faded in
        taken = base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
        Image.open(io.BytesIO(taken)).convert("RGB").quantize(colours).save(path, optimize=True)

    def _find(self, text: str, selector: str) -> list[float] | None:
        said = f"{_FIND}({json.dumps(text)}, {json.dumps(selector)})"
        found = self._call("Runtime.evaluate", expression=said, returnByValue=True)
        place: list[float] | None = found["result"].get("value")
        return place

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_TIMEOUT_S))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                result: dict[str, Any] = answer["result"]
                return result
