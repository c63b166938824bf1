// Read a video: send it or choose it, watch it being read, then move through it.

import { Chart, drawBoxes, labelOf, showReasons } from "./chart.js";
import { ask, clock, duration, know, make, percent, playable, post, say, showLegend, status } from "./common.js";
import { loadReader } from "./reader.js";
import { View } from "./view.js";

const at = (id) => document.getElementById(id);
const [begin, work, drop, video, boxes, faces] = ["begin", "work", "drop", "video", "boxes", "faces"].map(at);
const ASK_EVERY = 400; // milliseconds
let turn = 0; // counts what was begun here; what is not the last of it shows nothing any more
let current = null; // the number of the reading that is shown
let over = false; // whether it is read
let sending = null;
const charts = new Map(); // by the number of the face
const view = new View(() => charts.values());
let looks = null; // colours and names of classes

function reset() {
  turn += 1;
  current = sending = looks = null;
  over = false;
  history.replaceState(null, "", location.pathname);
  charts.clear();
  view.reset();
  video.removeAttribute("src");
  video.load();
  for (const id of ["player", "saving", "meaning", "unplayable", "end"]) at(id).hidden = true;
  for (const id of ["faces", "legend", "copying", "others"]) at(id).replaceChildren();
  begin.hidden = false;
  work.hidden = true;
  status("");
}

/** Leave what is shown: a video that is being read goes on being read, one that is read is removed. */
function leave() {
  if (current && over) ask(`/api/readings/${current}`, { method: "DELETE" }).catch(() => {});
  reset();
}

async function send(file, mine) {
  await ask(`/api/room?name=${encodeURIComponent(file.name)}&bytes=${file.size}`);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    if (mine === turn) sending = request;
    request.open("POST", "/api/readings");
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.upload.addEventListener("progress", (event) => {
      if (mine !== turn) return;
      status(say("uploading", { name: file.name, percent: percent(event.loaded / event.total) }));
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
  leave();
  const mine = turn;
  begin.hidden = true;
  work.hidden = false;
  at("again").textContent = say("cancel");
  at("progress").hidden = false;
  at("progress").removeAttribute("value");
  try {
    const told = await beginning(mine);
    if (mine !== turn) return; // another video is shown by now; this one is read all the same
    [current, sending] = [told.number, null];
    history.replaceState(null, "", `#${current}`);
    await follow(current);
  } catch (error) {
    if (mine !== turn) return;
    over = true;
    status(say("failed", { why: error.message }), true);
    at("again").textContent = say("another");
    at("progress").hidden = at("end").hidden = true;
  }
}

async function follow(number) {
  for (let since = 0; number === current; ) {
    const told = await ask(`/api/readings/${number}?since=${since}`);
    if (number !== current) return;
    since = told.next;
    if (told.state === "failed") throw new Error(told.error || say("cancel"));
    if (told.state === "done") return finish(told);
    status(progress(told));
    at("end").hidden = told.ended || told.again || !told.seconds;
    if (told.share === null) at("progress").removeAttribute("value");
    else at("progress").value = told.share;
    if (told.early.length) showEarly(told);
    if (!told.more) await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
  }
}

function progress({ name, state, share, left, again, seconds }) {
  if (state === "waiting") return say("waiting", { name });
  if (!seconds) return say("loading_model", { name });
  if (share === null) return say("reading_unknown", { name, time: clock(seconds) });
  const text = say(again ? "reading_again" : "reading", { name, percent: percent(Math.min(1, share)) });
  return left === null ? text : `${text}, ${say("time_left", { left: duration(left) })}`;
}

/** The chart of a face; made, and put where its number belongs, when the face comes. */
function chartOf(number) {
  if (!charts.has(number)) {
    const chart = new Chart(number, looks.classes, looks.colors, seek);
    const next = [...charts.values()].find((other) => other.number > number);
    charts.set(number, chart);
    faces.insertBefore(chart.element, next?.element ?? null);
  }
  return charts.get(number);
}

function take(told) {
  looks = told;
  know(told);
  showLegend(told.classes, told.colors);
}

/** What is read so far, before the timeline is there; faces are numbered as they came. */
function showEarly(told) {
  if (!looks) {
    take(told);
    showVideo(current);
  }
  const found = new Map();
  for (const each of told.early) {
    if (!found.has(each.track)) found.set(each.track, []);
    found.get(each.track).push(each);
  }
  for (const [track, windows] of found) chartOf(track).shares.add(windows);
  view.reach(Math.max(view.end, ...told.early.map((each) => each.end)));
}

async function finish({ number, name, ended, seconds, early, is_picture: isPicture }) {
  const timeline = await ask(`/api/readings/${number}/timeline`);
  if (number !== current) return;
  over = true;
  status(ended ? say("done_part", { name, time: clock(seconds) }) : say("done", { name }));
  at("again").textContent = say("another");
  at("progress").hidden = at("end").hidden = true;
  if (!looks && !isPicture) showVideo(number);
  take({ ...timeline, classes: timeline.class_names });
  showReasons(timeline.tracks.flatMap((track) => track.windows.map((window) => window.silent)));
  charts.clear();
  faces.replaceChildren();
  const key = timeline.no_vote_shares ? "probabilities" : "vote_shares";
  for (const track of timeline.tracks) chartOf(track.track).shares.add(track.windows.map((window) => ({ ...window, shares: window[key] })));
  view.reach(timeline.duration);
  for (const kind of ["csv", "json", "png"]) at(kind).href = `/api/readings/${number}/export/${kind}`;
  at("saving").hidden = false;
  const meaning = timeline.no_vote_shares || say("vote_shares");
  const { risk, caution } = timeline.abstention ?? {};
  const silence = risk ? [say("silence", { risk: percent(risk, 1) }), caution && say("caution", { why: caution })] : [];
  at("meaning").textContent = [meaning, ...silence, timeline.note && `${timeline.note}.`, say(view.long ? "keys_long" : "keys")].filter(Boolean).join(" ");
  at("meaning").hidden = false;
  if (video.currentTime) mark(video.currentTime);
  else seek([...charts.values()][0]?.shares.points[0]?.time ?? 0);
}

/** Show the video once a browser can play it; until then, say how far its copy is. */
async function showVideo(number) {
  const address = `/api/readings/${number}/video`;
  const tell = (text) => (at("copying").textContent = text && `${text} ${say("copy_aside")}`);
  if (!(await playable(address, () => number === current, tell))) return;
  video.src = address;
  at("player").hidden = false;
}

function seek(time) {
  if (video.readyState > 0) video.currentTime = time;
  view.reveal(time);
  mark(time);
}

function mark(time) {
  const seen = [];
  for (const chart of charts.values()) {
    const point = chart.mark(time);
    if (!point?.box) continue;
    if (time >= point.start && time <= point.end) seen.push({ box: point.box, ...labelOf(point, chart.classes, chart.colors) });
  }
  drawBoxes(boxes, video, seen);
}

function eachFrame() {
  if (!video.paused && charts.size) {
    view.follow(video.currentTime);
    mark(video.currentTime);
  }
  requestAnimationFrame(eachFrame);
}

video.addEventListener("seeked", () => {
  view.reveal(video.currentTime);
  mark(video.currentTime);
});
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
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && !at("ready").disabled) start((mine) => send(file, mine));
});
at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) start((mine) => send(file, mine));
  event.target.value = "";
});
at("again").addEventListener("click", () => {
  sending?.abort();
  over = true; // whether it was read or not, it is not wanted any more
  leave();
  showReadings();
});
at("end").addEventListener("click", () => ask(`/api/readings/${current}/end`, { method: "POST" }).catch((error) => status(say("failed", { why: error.message }), true)));

/** What is read and what is being read, to come back to. */
async function showReadings() {
  const { readings } = await ask("/api/readings");
  const items = readings.map(({ number, name, state }) => {
    const button = make("button", { type: "button" }, name, make("span", { class: "small" }, ` ${say(`reading_${state}`)}`));
    button.addEventListener("click", () => start(async () => ({ number })));
    return make("li", {}, button);
  });
  at("readings").replaceChildren(...items);
  at("before").hidden = !items.length;
}

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
if (location.hash) {
  const number = encodeURIComponent(location.hash.slice(1));
  start(async () => ({ number }));
} else showReadings();
requestAnimationFrame(eachFrame);
loadReader();
