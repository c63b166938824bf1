// Read a video: send it or choose it, watch it being read, then move through it.

import { Chart, drawBoxes } from "./chart.js";
import { ask, know, make, named, percent, post, say, showLegend, status } from "./common.js";
import { loadReader } from "./reader.js";

const at = (id) => document.getElementById(id);
const [begin, work, drop, video, boxes, faces] = ["begin", "work", "drop", "video", "boxes", "faces"].map(at);
const ASK_EVERY = 400; // milliseconds
let current = null; // the number of the reading that is shown
let charts = [];
let timeline = null;
let looks = null; // colours and names of classes, while a video is read

function show(started) {
  begin.hidden = started;
  work.hidden = !started;
}

function reset() {
  current = timeline = null;
  charts = [];
  video.removeAttribute("src");
  video.load();
  for (const id of ["player", "saving", "meaning", "unplayable"]) at(id).hidden = true;
  faces.replaceChildren();
  at("legend").replaceChildren();
  show(false);
  status("");
}

function send(file) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.open("POST", "/api/readings");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.upload.addEventListener("progress", (event) => {
      status(say("uploading", { name: file.name, percent: Math.floor((100 * event.loaded) / event.total) }));
      at("progress").value = event.loaded / event.total;
    });
    request.addEventListener("load", () => {
      const values = JSON.parse(request.responseText || "{}");
      if (request.status < 300) resolve(values);
      else reject(new Error(values.error ?? request.statusText));
    });
    request.addEventListener("error", () => reject(new Error(say("offline"))));
    request.send(file);
  });
}

async function start(beginning) {
  show(true);
  at("again").textContent = say("cancel");
  at("progress").hidden = false;
  at("progress").removeAttribute("value");
  try {
    const told = await beginning();
    current = told.number;
    await follow(told.number);
  } catch (error) {
    status(say("failed", { why: error.message }), true);
    at("again").textContent = say("another");
    at("progress").hidden = true;
  }
}

async function follow(number) {
  const early = [];
  for (let since = 0; number === current; ) {
    const told = await ask(`/api/readings/${number}?since=${since}`);
    since = told.next;
    early.push(...told.early);
    const { name, frames } = told;
    if (told.state === "failed") throw new Error(told.error || say("cancel"));
    if (told.state === "done") return finish(number, name);
    if (told.state === "waiting") status(say("waiting", { name }));
    else if (!frames) status(say("loading_model", { name }));
    else if (told.of) status(say("reading", { name, percent: Math.min(100, Math.floor((100 * frames) / told.of)) }));
    else status(say("reading_unknown", { name, frames }));
    if (told.of) at("progress").value = frames / told.of;
    if (told.early.length) showEarly(early, told);
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
  }
}

/** What is read so far, before the timeline is there; faces are numbered as they came. */
function showEarly(early, told) {
  if (told.colors) {
    know(told);
    looks = told;
    showLegend(told.classes, told.colors);
  }
  const until = Math.max(...early.map((each) => each.end));
  const tracks = [...new Set(early.map((each) => each.track))].sort((a, b) => a - b);
  const drawn = tracks.map((track) => {
    const chart = new Chart(track, looks.classes, looks.colors, until, () => {}, false);
    chart.draw(early.filter((each) => each.track === track));
    return chart.element;
  });
  faces.replaceChildren(...drawn);
}

async function finish(number, name) {
  timeline = await ask(`/api/readings/${number}/timeline`);
  status(say("done", { name }));
  at("again").textContent = say("another");
  at("progress").hidden = true;
  know(timeline);
  showLegend(timeline.class_names, timeline.colors);
  const key = timeline.no_vote_shares ? "probabilities" : "vote_shares";
  charts = timeline.tracks.map((track) => {
    const chart = new Chart(track.track, timeline.class_names, timeline.colors, timeline.duration, seek);
    chart.draw(track.windows.map((window) => ({ ...window, shares: window[key] })));
    return chart;
  });
  faces.replaceChildren(...charts.map((chart) => chart.element));
  for (const kind of ["csv", "json", "png"]) at(kind).href = `/api/readings/${number}/export/${kind}`;
  at("saving").hidden = false;
  const meaning = timeline.no_vote_shares || say("vote_shares");
  at("meaning").textContent = [meaning, timeline.note, say("keys")].filter(Boolean).join(" ");
  at("meaning").hidden = false;
  if (timeline.duration > 0) {
    video.src = `/api/readings/${number}/video`;
    at("player").hidden = false;
  }
  seek(charts[0]?.shares.points[0]?.time ?? 0);
}

function seek(time) {
  if (video.readyState > 0) video.currentTime = time;
  mark(time);
}

function mark(time) {
  const seen = [];
  for (const chart of charts) {
    const point = chart.mark(time);
    if (!point?.box) continue;
    const top = point.shares.indexOf(Math.max(...point.shares));
    const name = chart.classes[top];
    const label = `${named(name)} ${percent(point.shares[top])}`;
    if (time >= point.start && time <= point.end) seen.push({ box: point.box, label, color: chart.colors[name] });
  }
  drawBoxes(boxes, video, seen);
}

function eachFrame() {
  if (!video.paused && charts.length) mark(video.currentTime);
  requestAnimationFrame(eachFrame);
}

video.addEventListener("seeked", () => mark(video.currentTime));
video.addEventListener("loadeddata", () => mark(video.currentTime));
video.addEventListener("error", () => {
  if (!video.getAttribute("src")) return;
  at("player").hidden = true;
  at("unplayable").hidden = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || event.target.closest("button, a, input, select, video, label") || at("player").hidden) return;
  event.preventDefault();
  if (video.paused) video.play();
  else video.pause();
});
for (const name of ["dragenter", "dragover"])
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && !at("ready").disabled) start(() => send(file));
});
at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) start(() => send(file));
  event.target.value = "";
});
at("again").addEventListener("click", () => {
  if (current) ask(`/api/readings/${current}`, { method: "DELETE" }).catch(() => {});
  reset();
});
if (at("files")) {
  ask("/api/files").then(({ files }) => {
    const items = files.map((file) => {
      const button = make("button", { type: "button" }, file);
      button.addEventListener("click", () => start(() => post("/api/readings", { file })));
      return make("li", {}, button);
    });
    at("files").replaceChildren(...(items.length ? items : [make("li", { class: "small" }, say("no_files"))]));
  });
}
requestAnimationFrame(eachFrame);
loadReader();
