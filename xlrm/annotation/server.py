"""Serves the page to annotators: one process, one folder, no key.

A link is http://HOST:PORT/TOKEN/; every request must carry a token, and is
told only what a `design.Task` holds. The Host must be a name or address of
ours (a web site that rebinds its name to 127.0.0.1 is refused), and what
changes an answer must come from the page itself.
"""

from collections.abc import Mapping
import hmac
import http.server
import ipaddress
import json
import math
import socket
import socketserver
import sys
from typing import Any
import urllib.parse

from xlrm.annotation import annotation_page
from xlrm.annotation import answers
from xlrm.annotation import store as store_lib

MAX_BODY = 4096  # bytes of a request
MAX_SECONDS = 86_400.0
HEADERS = {
  "Content-Security-Policy": (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
  ),
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
}


class Refused(Exception):
  """An error that is answered by its status, and by where to go instead."""

  def __init__(self, status: int, reason: str, location: str = ""):
    super().__init__(reason)
    self.status, self.location = status, location


def is_loopback(host: str) -> bool:
  """Whether a host is this machine's own, by its name or address."""
  try:
    return ipaddress.ip_address(host).is_loopback
  except ValueError:
    return host == "localhost"


class Server(http.server.ThreadingHTTPServer):
  """A server of one study on one address."""

  daemon_threads = True
  allow_reuse_address = True

  def __init__(self, store: store_lib.Store, host: str, port: int):
    self.store, self.host = store, host
    self.tokens = store.tokens
    self.page = annotation_page.render(store.page).encode()
    if ":" in host:
      self.address_family = socket.AF_INET6
    super().__init__((host, port), Handler)

  def server_bind(self) -> None:
    """Binds as TCPServer does: HTTPServer would ask the DNS for our name."""
    socketserver.TCPServer.server_bind(self)
    self.server_name, self.server_port = self.server_address[:2]

  def link(self, annotator: str) -> str:
    """The link under which an annotator works."""
    host = self.host
    if host in ("0.0.0.0", "::"):
      host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{self.server_port}/{self.tokens[annotator]}/"

  def annotator(self, token: str) -> str | None:
    """The annotator of a token; a wrong one takes as long as a right one."""
    found = None
    for name, known in self.tokens.items():
      if hmac.compare_digest(known.encode(), token.encode()):
        found = name
    return found

  def accepts(self, host: str) -> bool:
    """Whether a Host header may be ours: never a name from elsewhere.

    A port may differ (a tunnel has its own). Served to a network, any
    address will do: names can be rebound, addresses cannot.
    """
    name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    if is_loopback(name) or name == self.host.lower():
      return True
    if is_loopback(self.host):
      return False
    try:
      ipaddress.ip_address(name)
    except ValueError:
      return name == socket.gethostname().lower()
    return True


class Handler(http.server.BaseHTTPRequestHandler):
  """A handler of the five requests of the page."""

  protocol_version = "HTTP/1.1"
  server_version, sys_version = "xlrm", ""
  timeout = 30  # seconds of silence
  server: Server

  def do_GET(self) -> None:
    """Answers with the page, its files, or the next task."""
    self._reply(self._get)

  def do_POST(self) -> None:
    """Stores an answer, withdraws one, or brings skipped tasks back."""
    self._reply(self._post)

  def _reply(self, answer) -> None:
    location = ""
    try:
      status, kind, body = answer()
    except Refused as refusal:
      status, location = refusal.status, refusal.location
      kind = "text/plain; charset=utf-8"
      body = str(refusal).encode()
    except answers.Unavailable as error:
      print(f"xlrm annotate: {error}", file=sys.stderr, flush=True)
      status, kind = 503, "application/json"
      body = json.dumps({"error": error.reason}).encode()
    if status != 200:  # a body may be unread: the connection is not used again
      self.close_connection = True
    self.send_response(status)
    for name, value in HEADERS.items():
      self.send_header(name, value)
    self.send_header("Content-Type", kind)
    self.send_header("Content-Length", str(len(body)))
    if location:
      self.send_header("Location", location)
    if self.close_connection:
      self.send_header("Connection", "close")
    self.end_headers()
    self.wfile.write(body)

  def _annotator_and_name(self) -> tuple[str, str]:
    """Who asks, and for what; refuses what did not come by a link of ours."""
    try:
      known = self.server.accepts(self.headers.get("Host", ""))
    except ValueError:
      known = False
    if not known:
      raise Refused(421, "not the address of this server")
    path = urllib.parse.urlsplit(self.path).path
    token, slash, name = path.removeprefix("/").partition("/")
    annotator = self.server.annotator(token)
    if annotator is None:
      raise Refused(403, "this link is not valid")
    if not slash:
      raise Refused(308, "the link ends in /", f"/{token}/")
    return annotator, name

  def _get(self) -> tuple[int, str, bytes]:
    annotator, name = self._annotator_and_name()
    if name == "":
      return 200, "text/html; charset=utf-8", self.server.page
    self._check_site()
    if name in annotation_page.TYPES:
      return 200, annotation_page.TYPES[name], annotation_page.asset(name)
    if name == "state":
      return _state(self.server.store.state(annotator))
    raise Refused(404, "no such page")

  def _check_site(self) -> None:
    site = self.headers.get("Sec-Fetch-Site", "same-origin")
    if site != "same-origin":
      raise Refused(403, "only the page itself may ask for this")

  def _post(self) -> tuple[int, str, bytes]:
    annotator, name = self._annotator_and_name()
    self._check_site()
    # Host is ours; the origin must be the same, port included.
    if self.headers.get("Origin") != f"http://{self.headers['Host']}":
      raise Refused(403, "only the page itself may answer")
    if self.headers.get_content_type() != "application/json":
      raise Refused(415, "JSON is expected")
    body = self._body()
    try:
      return _state(_act(self.server.store, annotator, name, body))
    except answers.Conflict:
      return _state(self.server.store.state(annotator), 409)
    except (KeyError, TypeError, ValueError):
      raise Refused(400, "not a request of the page") from None

  def _body(self) -> Mapping[str, Any]:
    length = self.headers.get("Content-Length", "")
    if not length.isascii() or not length.isdigit():
      raise Refused(411, "a length is expected")
    if int(length) > MAX_BODY:
      raise Refused(413, f"more than {MAX_BODY} bytes")
    try:
      body = json.loads(self.rfile.read(int(length)))
    except ValueError:
      body = None
    if not isinstance(body, dict):
      raise Refused(400, "a JSON object is expected")
    return body

  def log_message(self, *_: Any) -> None:
    """Logs nothing: the path holds the token."""


def _state(
  state: answers.AnnotatorState, status: int = 200
) -> tuple[int, str, bytes]:
  """What the browser is told, field by field."""
  task = state.task
  body = {
    "task": task
    and {
      "item": task.item,
      "language": task.language,
      "input": task.input,
      "left": task.left,
      "right": task.right,
    },
    "done": state.done,
    "skipped": state.skipped,
    "total": state.total,
    "last": state.last,
  }
  return status, "application/json", json.dumps(body).encode()


def _act(
  store: store_lib.Store, annotator: str, name: str, body: Mapping[str, Any]
) -> answers.AnnotatorState:
  if name == "answer":
    seconds = float(body["seconds"])
    if not (math.isfinite(seconds) and 0 <= seconds):
      raise ValueError(f"seconds {seconds}")
    seconds = round(min(seconds, MAX_SECONDS), 3)
    return store.answer(annotator, body["item"], body["choice"], seconds)
  if name == "undo":
    return store.undo(annotator, body["item"])
  if name == "again":
    return store.again(annotator)
  raise Refused(404, "no such page")
