// Read a camera: send a frame when the one before was answered, show what comes back.

import { Chart, Shares, drawBoxes, labelOf } from "./chart.js";
import { figure, know, make, named, percent, reason, say, showLegend, status } from "./common.js";
import { loadReader } from "./reader.js";

const at = (id) => document.getElementById(id);
const [video, boxes, faces, charts] = ["video", "boxes", "faces", "charts"].map(at);
const SIDE = 640; // pixels; a face that is smaller than can be read here is too far away
const QUALITY = 0.85;
const SHOWN = 30; // seconds of the scrolling timeline
const MOST_KEPT = 500000; // readings that can be saved; a day and more of one face
const FORGET = 3; // seconds after which a face that is gone loses its bars

let socket = null;
let stream = null;
let greeting = null;
const seen = new Map(); // track -> { bars, chart, windows, shares, last }
const pace = [];
const kept = []; // all readings since the camera was started, for who asks for them
let looks = null; // of those: classes, and what shares are
let began = 0; // by the page's clock
let begun = ""; // by that on the wall

async function open() {
  status("");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: SIDE }, facingMode: "user" }, audio: false });
  } catch (error) {
    status(say("no_camera", { why: error.message }), true);
    return;
  }
  video.srcObject = stream;
  await video.play();
  at("live").hidden = false;
  at("camera").textContent = say("stop_camera");
  status(say("first_reading"));
  kept.length = 0;
  began = performance.now() / 1000;
  begun = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  showKept();
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", (event) => take(JSON.parse(event.data)));
  socket.addEventListener("close", () => stream && close(say("offline")));
}

function close(why = "") {
  stream?.getTracks().forEach((track) => track.stop());
  stream = greeting = null;
  socket?.close();
  video.srcObject = null;
  at("live").hidden = true;
  at("camera").textContent = say("start_camera");
  for (const each of [faces, charts, at("legend")]) each.replaceChildren();
  at("latency").textContent = "";
  seen.clear();
  pace.length = 0;
  status(why, Boolean(why));
}

const canvas = document.createElement("canvas");
async function sendFrame() {
  if (!stream || socket.readyState !== WebSocket.OPEN) return;
  if (!video.videoWidth) {
    setTimeout(sendFrame, 50); // the camera has no picture yet
    return;
  }
  const scale = Math.min(1, SIDE / video.videoWidth);
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  const time = performance.now() / 1000;
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!stream || socket.readyState !== WebSocket.OPEN) return;
  if (!picture) {
    setTimeout(sendFrame, 50);
    return;
  }
  const head = new DataView(new ArrayBuffer(8));
  head.setFloat64(0, time);
  socket.send(await new Blob([head.buffer, picture]).arrayBuffer());
}

function take(message) {
  if (message.error) {
    close(say("failed", { why: message.error }));
    return;
  }
  if (message.classes) {
    greeting = looks = message;
    know(greeting);
    showLegend(greeting.classes, greeting.colors);
    sendFrame();
    return;
  }
  if (kept.length < MOST_KEPT) kept.push(...message.readings);
  showKept();
  const now = performance.now() / 1000;
  pace.push({ now, latency: now - message.time });
  while (pace[0].now < now - 2) pace.shift();
  const mean = pace.reduce((sum, each) => sum + each.latency, 0) / pace.length;
  at("latency").textContent = say("latency", { latency: Math.round(1000 * mean), rate: Math.round(pace.length / 2) });
  for (const reading of message.readings) show(reading);
  forget(message);
  drawBoxes(boxes, { videoWidth: message.width, videoHeight: message.height }, message.faces.map(labelled), true);
  requestAnimationFrame(sendFrame);
}

function labelled({ track, box }) {
  const face = seen.get(track);
  if (!face?.shares) return { box, label: "", color: "#fff" };
  return { box, ...labelOf(face, greeting.classes, greeting.colors) };
}

function show({ track, end, shares, silent }) {
  if (!seen.has(track)) seen.set(track, newFace(track));
  const face = seen.get(track);
  Object.assign(face, { shares, silent, last: end });
  face.windows.push({ start: end - greeting.stride, end, shares, silent });
  face.why.textContent = silent ? reason(silent) : "";
  while (face.windows[0].end < end - SHOWN) face.windows.shift();
  greeting.classes.forEach((name, k) => {
    face.bars[k].fill.style.width = `${100 * shares[k]}%`;
    face.bars[k].value.textContent = percent(shares[k]);
  });
  face.chart.shares = new Shares();
  face.chart.shares.add(face.windows.map((w) => ({ ...w, start: w.start - end + SHOWN, end: w.end - end + SHOWN })));
  face.chart.draw(0, SHOWN, charts.clientWidth);
  face.chart.span.textContent = "";
  face.chart.ends.replaceChildren(...[-SHOWN, 0].map((time) => make("span", {}, say("seconds", { time: figure(time) }))));
  status("");
}

function newFace(track) {
  const bars = greeting.classes.map((name) => {
    const fill = make("i");
    fill.style.setProperty("--c", greeting.colors[name]);
    const value = make("b");
    return { fill, value, row: make("div", { class: "bar" }, make("span", {}, named(name)), make("div", { class: "track" }, fill), value) };
  });
  const why = make("span");
  const block = make("div", { class: "face" }, make("h2", {}, say("face", { number: track }), why), ...bars.map((bar) => bar.row));
  const chart = new Chart(track, greeting.classes, greeting.colors);
  faces.append(block);
  charts.append(chart.element);
  return { bars, why, chart, block, windows: [], shares: null, last: 0 };
}

/** Take away the bars of faces that are gone, and say so where none is left. */
function forget({ time, faces: inView }) {
  const here = new Set(inView.map((face) => face.track));
  for (const [track, face] of seen) {
    if (here.has(track)) face.last = Math.max(face.last, time);
    else if (time - face.last > FORGET) {
      face.block.remove();
      face.chart.element.remove();
      seen.delete(track);
    }
  }
  if (!inView.length && !seen.size) status(say("no_face"));
}

function showKept() {
  at("save").hidden = !kept.length;
  at("save").textContent = say("save_readings", { count: kept.length });
}

/** The readings, but no pictures, with the columns of timeline.csv; nothing is stored before. */
function save() {
  const { classes, reading } = looks;
  const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const head = ["track", "start", "end", "predicted", ...classes.map((name) => cell(`${reading}_${name}`)), "silent"];
  const rows = kept.map(({ track, start, end, shares, silent }) => {
    const top = silent ? "" : cell(classes[shares.indexOf(Math.max(...shares))]);
    return [track, (start - began).toFixed(3), (end - began).toFixed(3), top, ...shares, silent ?? ""];
  });
  const content = [head, ...rows].map((row) => `${row.join(",")}\r\n`).join("");
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type: "text/csv" })), download: `readings ${begun}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

at("save").addEventListener("click", save);
at("camera").addEventListener("click", () => (stream ? close() : open()));
window.addEventListener("pagehide", () => close());
loadReader();
