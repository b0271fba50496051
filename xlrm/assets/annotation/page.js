"use strict";
// The annotation page. Texts are set as text, never as markup; the server
// alone knows the order, and has stored an answer before it sends the next.

const $ = (id) => document.getElementById(id);
const words = document.body.dataset;
const KEYS = {
  1: "left", arrowleft: "left", 2: "right", arrowright: "right",
  0: "tie", t: "tie", s: "skip", u: "undo", h: "help",
};
const CODES = {
  Digit1: "left", Numpad1: "left", Digit2: "right", Numpad2: "right",
  Digit0: "tie", Numpad0: "tie", KeyT: "tie", KeyS: "skip", KeyU: "undo",
  KeyH: "help",
};

let state = null; // as the server sent it
let busy = false;
let failed = null; // the request that "try again" repeats
let watch = 0; // when the task became visible, or 0
let milliseconds = 0; // it was visible until then

function startWatch() {
  if (!watch && !document.hidden && !$("task").hidden) {
    watch = performance.now();
  }
}

function stopWatch() {
  if (watch) milliseconds += performance.now() - watch;
  watch = 0;
}

function setText(id, text, language) {
  const box = $(id);
  box.classList.toggle("empty", !text.trim());
  box.textContent = text.trim() ? text : words.empty;
  box.lang = text.trim() ? language : document.documentElement.lang;
}

function notify(message, retry = false) {
  $("message").textContent = message;
  $("retry").hidden = !retry;
  $("notice").hidden = !message;
}

function showGuide(open) {
  stopWatch();
  $("guide").hidden = !open;
  $("task").hidden = open || !state.task;
  $("end").hidden = open || Boolean(state.task);
  $("actions").hidden = open;
  $("choices").hidden = !state.task;
  $("skip").hidden = !state.task;
  $("help").setAttribute("aria-expanded", String(open));
  $("go").textContent = state.done ? words.resume : words.begin;
  window.scrollTo(0, 0);
  const next = open ? $("go") : state.task ? $("task") : $("end");
  next.focus({ preventScroll: true });
  startWatch();
}

function show(next) {
  const first = state === null;
  if (next.task?.item !== state?.task?.item) {
    stopWatch();
    milliseconds = 0;
  }
  state = next;
  if (state.task) {
    setText("input", state.task.input, state.task.language);
    setText("left", state.task.left, state.task.language);
    setText("right", state.task.right, state.task.language);
  }
  $("count").textContent = `${state.done} / ${state.total}`;
  $("progress").max = state.total;
  $("progress").value = state.done;
  $("undo").disabled = !state.last;
  $("skipped").textContent = state.skipped;
  $("again").hidden = !state.skipped;
  showGuide(first && Boolean(state.task));
}

async function ask(name, body) {
  if (busy) return;
  busy = true;
  failed = null;
  try {
    const response = await fetch(name, body === undefined ? {} : {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok && response.status !== 409) throw response;
    notify(response.status === 409 ? words.elsewhere : "");
    show(await response.json());
  } catch (error) {
    failed = () => ask(name, body);
    const reached = error instanceof Response;
    notify(reached ? words.notSaved : words.unreachable, true);
    $("retry").focus();
  } finally {
    busy = false;
  }
}

function act(action) {
  if (!state || busy) return;
  if (action === "help") return showGuide($("guide").hidden);
  if (!$("guide").hidden) return;
  if (action === "undo") {
    if (state.last) ask("undo", { item: state.last });
    return;
  }
  const allowed = document.querySelector(`[data-choice="${action}"]`);
  if (!state.task || !allowed) return;
  stopWatch();
  const seconds = milliseconds / 1000;
  ask("answer", { item: state.task.item, choice: action, seconds });
  startWatch();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const key = event.key.toLowerCase();
  // Other scripts' keyboards: the key in the same place.
  const action = KEYS[key] ?? (/^[a-z]$/.test(key) ? null : CODES[event.code]);
  if (!action) return;
  event.preventDefault();
  act(action);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stopWatch();
  else startWatch();
});
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => act(button.dataset.choice));
}
$("undo").addEventListener("click", () => act("undo"));
$("help").addEventListener("click", () => act("help"));
$("go").addEventListener("click", () => showGuide(false));
$("again").addEventListener("click", () => ask("again", {}));
$("retry").addEventListener("click", () => failed?.());
ask("state");
