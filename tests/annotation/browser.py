"""A real headless Chromium, driven over WebDriver (w3.org/TR/webdriver2)."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = "a browser: apt-get install -y chromium chromium-driver, then again"
KEYS = {"left": "\ue012", "right": "\ue014", "enter": "\ue007", "tab": "\ue004"}
FLAGS = (
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
)


class Browser:
  """One window."""

  def __init__(self, address: str, profile: str):
    self._address = address
    flags = [*FLAGS, f"--user-data-dir={profile}"]
    chrome = {"binary": CHROMIUM, "args": flags}
    wanted = {
      "goog:chromeOptions": chrome,
      "goog:loggingPrefs": {"browser": "ALL"},
    }
    session = self._ask(
      "POST", "/session", {"capabilities": {"alwaysMatch": wanted}}
    )
    self._session = f"/session/{session['sessionId']}"

  def _ask(self, verb, path, body=None):
    request = urllib.request.Request(
      self._address + path,
      None if body is None else json.dumps(body).encode(),
      {"Content-Type": "application/json"},
      method=verb,
    )
    try:
      with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["value"]
    except urllib.error.HTTPError as error:
      raise RuntimeError(error.read().decode()) from error

  def post(self, path, **body):
    return self._ask("POST", self._session + path, body)

  def open(self, url):
    self.post("/url", url=url)

  def reload(self):
    self.post("/refresh")

  def run(self, script, *arguments):
    """The value of JavaScript statements that `return` it."""
    return self.post("/execute/sync", script=script, args=list(arguments))

  def press(self, *keys):
    """Keys, one after the other, to whatever has the focus."""
    actions = []
    for key in keys:
      value = KEYS.get(key, key)
      actions += [{"type": x, "value": value} for x in ("keyDown", "keyUp")]
    self.post(
      "/actions", actions=[{"type": "key", "id": "k", "actions": actions}]
    )

  def wait(self, condition, *arguments, seconds=10):
    """Until a JavaScript expression is true."""
    end = time.monotonic() + seconds
    while not self.run(f"return Boolean({condition})", *arguments):
      assert time.monotonic() < end, condition
      time.sleep(0.01)

  def resize(self, width, height):
    self.post(
      "/goog/cdp/execute",
      cmd="Emulation.setDeviceMetricsOverride",
      params={
        "width": width,
        "height": height,
        "deviceScaleFactor": 1,
        "mobile": False,
      },
    )

  def screenshot(self, path):
    data = self._ask("GET", self._session + "/screenshot")
    pathlib.Path(path).write_bytes(base64.b64decode(data))

  def errors(self):
    """What the console complained of."""
    return [x["message"] for x in self.post("/se/log", type="browser")]

  def close(self):
    self._ask("DELETE", self._session)


@contextlib.contextmanager
def chromium():
  """A browser with an empty profile, in a process group of its own."""
  with tempfile.TemporaryDirectory() as folder:
    driver = subprocess.Popen(
      [DRIVER, "--port=0"],
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      text=True,
      env={**os.environ, "HOME": folder},
    )
    try:
      for line in driver.stdout:
        if "started successfully on port" in line:
          port = int(line.rsplit(" ", 1)[1].strip().rstrip("."))
          break
      else:
        raise RuntimeError("chromedriver did not start")
      browser = Browser(f"http://127.0.0.1:{port}", f"{folder}/profile")
      try:
        yield browser
      finally:
        browser.close()
    finally:
      driver.terminate()
      driver.wait()
      driver.stdout.close()
