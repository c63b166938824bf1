// The shares of one face over time, as areas one above the other.

import { clock, figure, inWords, make, named, percent, reason, say } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const BAND = 10; // pixels
const TICK = 90; // pixels between two times on the axis, at least
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600]; // seconds

function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Times below a chart, at round numbers of seconds, minutes or hours. */
function drawTicks(axis, from, to, width) {
  const least = ((to - from) * TICK) / width;
  const step = STEPS.find((each) => each >= least) ?? 3600 * Math.ceil(least / 3600);
  const ticks = [];
  for (let n = Math.ceil(from / step); n * step <= to; n += 1) {
    const tick = make("span", {}, clock(n * step, step < 1));
    tick.style.left = `${(100 * (n * step - from)) / (to - from)}%`;
    ticks.push(tick);
  }
  axis.classList.add("ticks");
  axis.replaceChildren(...ticks);
}

/** Points of time, in order, each with its shares; between two of them shares change evenly. */
export class Shares {
  points = [];
  sums = [[]]; // of the shares of all points before, so that a mean takes no longer over hours than over seconds

  add(windows) {
    const last = this.points.at(-1)?.time ?? -Infinity;
    const added = windows.map(({ start, end, shares, box, silent }) => ({ time: (start + end) / 2, start, end, shares, box, silent }));
    this.points.push(...added);
    if (added.some((point, k) => point.time < (k ? added[k - 1].time : last))) {
      this.points.sort((a, b) => a.time - b.time);
      this.sums = [[]];
    }
    for (const { shares } of this.points.slice(this.sums.length - 1)) {
      const before = this.sums.at(-1);
      this.sums.push(shares.map((share, k) => share + (before[k] ?? 0)));
    }
  }

  /** How many points come before a time. */
  before(time) {
    let [low, high] = [0, this.points.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.points[middle].time < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The number of the window around a time; -1 without any. */
  near(time) {
    const next = this.before(time);
    const [left, right] = [this.points[next - 1], this.points[next]];
    if (!right || (left && time - left.time <= right.time - time)) return next - 1;
    return next;
  }

  /** What is to be drawn between two times: the points, or, where they are more than `most`, means of neighbours. */
  between(from, to, most) {
    const first = Math.max(0, this.before(from) - 1);
    const last = Math.min(this.points.length, this.before(to) + 1);
    if (last - first <= most) return this.points.slice(first, last);
    const means = [];
    const step = (to - from) / most;
    for (let left = first, right; left < last; left = right) {
      const edge = from + step * (Math.floor((this.points[left].time - from) / step) + 1);
      right = Math.min(last, Math.max(left + 1, this.before(edge)));
      const [head, tail] = [this.points[left], this.points[right - 1]];
      const shares = head.shares.map((_, k) => (this.sums[right][k] - (this.sums[left][k] ?? 0)) / (right - left));
      means.push({ time: (head.time + tail.time) / 2, start: head.start, end: tail.end, shares });
    }
    return means;
  }
}

export class Chart {
  constructor(number, classes, colors, onTime = null) {
    Object.assign(this, { number, classes, colors, onTime });
    this.heading = make("h2", {}, say("face", { number }));
    this.span = make("span");
    this.heading.append(this.span);
    this.picture = svg("svg", { class: "chart", preserveAspectRatio: "none" });
    this.areas = svg("g");
    this.now = svg("line", { class: "now", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.picture.append(this.areas, this.now);
    this.told = make("p", { class: "told" });
    this.ends = make("div", { class: "axis", "aria-hidden": "true" });
    this.silence = make("canvas", { class: "silence", "aria-hidden": "true", hidden: "" });
    this.element = make("div", { class: "face" }, this.heading, this.picture, this.silence, this.ends, this.told);
    this.shares = new Shares();
    const attributes = { "aria-label": say("chart_label", { number }), ...(onTime ? { tabindex: 0, role: "slider" } : { role: "img" }) };
    for (const [name, value] of Object.entries(attributes)) this.picture.setAttribute(name, value);
    if (!onTime) return;
    this.picture.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerdown", (event) => this.point(event, true));
  }

  /** Draw what lies between two times, in so many pixels; `long` says times as a clock does. */
  draw(from, to, width, long = false) {
    Object.assign(this, { from, to, long, at: null });
    const { points } = this.shares;
    this.picture.setAttribute("viewBox", `0 0 ${Math.max(to - from, 1e-6)} ${HEIGHT}`);
    if (long) drawTicks(this.ends, from, to, width);
    else this.ends.replaceChildren(...[Math.max(0, from), to].map((time) => make("span", {}, say("seconds", { time: figure(time, 1) }))));
    this.areas.replaceChildren();
    if (!points.length) return;
    const [first, last] = [points[0], points.at(-1)];
    const ends = [first.start, last.end].map((time) => (long ? clock(time) : figure(time, 1)));
    this.span.textContent = say(long ? "span" : "face_span", { start: ends[0], end: ends[1] });
    this.drawSilence(width);
    const shown = this.shares.between(from, to, width);
    const all = [{ ...shown[0], time: shown[0].start }, ...shown, { ...shown.at(-1), time: shown.at(-1).end }];
    const x = (point) => (point.time - from).toFixed(4);
    let below = all.map(() => 0);
    this.classes.forEach((name, k) => {
      const above = all.map((point, number) => below[number] + point.shares[k]);
      const edge = all.map((point, number) => `${x(point)},${(HEIGHT * (1 - above[number])).toFixed(2)}`);
      const back = all.map((point, number) => `${x(point)},${(HEIGHT * (1 - below[number])).toFixed(2)}`).reverse();
      const area = svg("polygon", { points: [...edge, ...back].join(" ") });
      area.style.fill = this.colors[name];
      this.areas.append(area);
      below = above;
    });
    if (!this.onTime) return;
    for (const [name, value] of Object.entries({ "aria-valuemin": 0, "aria-valuemax": points.length - 1 }))
      this.picture.setAttribute(name, value);
  }

  /** A band below the shares that marks where the model names no emotion, in the manner of the reason. */
  drawSilence(width) {
    const { points } = this.shares;
    this.silence.hidden = !points.some((point) => point.silent);
    if (this.silence.hidden) return;
    const silentAt = (x) => {
      const time = this.from + ((x + 0.5) / width) * (this.to - this.from);
      return time >= points[0].start && time <= points.at(-1).end ? points[this.shares.near(time)].silent : null;
    };
    drawMarks(this.silence, Array.from({ length: width }, (_, x) => silentAt(x)));
  }

  /** For how many seconds the face is there between two times; below 0, how far it is away. */
  timeIn(from, to) {
    const { points } = this.shares;
    return points.length ? Math.min(to, points.at(-1).end) - Math.max(from, points[0].start) : -Infinity;
  }

  /** Mark a time, and say in words what is there. */
  mark(time) {
    const number = this.shares.near(time);
    if (number < 0) return null;
    const point = this.shares.points[number];
    const inside = time >= this.shares.points[0].start - 0.5 && time <= this.shares.points.at(-1).end + 0.5;
    const seen = inside ? point : null;
    const hasMoved = number !== this.at || Math.abs(time - this.marked) > (this.to - this.from) / 4000; // a quarter of a pixel
    if (this.element.hidden || !hasMoved) return seen;
    Object.assign(this, { at: number, marked: time });
    this.now.setAttribute("x1", time - this.from);
    this.now.setAttribute("x2", time - this.from);
    this.now.setAttribute("visibility", "visible");
    const shares = () => inWords(this.classes, point.shares);
    const words = () => (point.silent ? say("silent_shares", { why: reason(point.silent), shares: shares() }) : shares());
    const text = inside ? (this.long ? say("at_clock", { time: clock(time), shares: words() }) : say("at_time", { time: figure(time, 1), shares: words() })) : "";
    this.told.textContent = text;
    this.picture.setAttribute("aria-valuenow", number);
    this.picture.setAttribute("aria-valuetext", text);
    return seen;
  }

  key(event) {
    const { points } = this.shares;
    if (!points.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.at ?? 0;
    const far = this.shares.near(points[at].time + (this.to - this.from) / 10);
    const page = Math.max(1, far - at);
    const to = {
      ...{ ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1 },
      ...{ PageUp: at + page, PageDown: at - page, Home: 0, End: points.length - 1 },
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.onTime(points[Math.min(Math.max(to, 0), points.length - 1)].time);
  }

  point(event, seek = false) {
    const time = this.timeAt(event.clientX);
    if (seek || event.buttons) this.onTime(time);
    else this.mark(time);
  }

  timeAt(x) {
    const { left, width } = this.picture.getBoundingClientRect();
    return this.from + ((x - left) / width) * (this.to - this.from);
  }
}

/** Mark columns of pixels by the reason for silence in each: stripes where people would disagree, else dots. */
function drawMarks(canvas, reasons) {
  canvas.width = reasons.length;
  canvas.height = BAND;
  const pen = canvas.getContext("2d");
  pen.strokeStyle = pen.fillStyle = getComputedStyle(document.body).color;
  reasons.forEach((silent, x) => {
    if (!silent) return;
    const isStriped = silent === "people would disagree";
    for (let y = 0; y < BAND; y += 1) if (isStriped ? (x + y) % 7 < 2 : x % 5 < 2 && (y + 1) % 5 < 2) pen.fillRect(x, y, 1, 1);
  });
}

/** Say in the legend what the marks mean, of the reasons that occur. */
export function showReasons(found) {
  for (const silent of new Set(found.filter(Boolean))) {
    const mark = make("canvas", { class: "mark", "aria-hidden": "true" });
    drawMarks(mark, Array(28).fill(silent));
    document.getElementById("legend").append(make("li", {}, mark, reason(silent)));
  }
}

/** What stands at a face's box: the class that is named most, or why none is named. */
export function labelOf({ shares, silent }, classes, colors) {
  if (silent) return { label: reason(silent), color: "#fff", dashed: true };
  const top = shares.indexOf(Math.max(...shares));
  return { label: `${named(classes[top])} ${percent(shares[top])}`, color: colors[classes[top]] };
}

/** Boxes over a video, each with its label; dashed where no class is named; `mirrored` as the video is. */
export function drawBoxes(canvas, video, faces, mirrored = false) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  const wide = video.videoWidth || 1;
  const high = video.videoHeight || 1;
  const fit = Math.min(canvas.width / wide, canvas.height / high); // the video keeps its shape inside its element
  const [left, top] = [(canvas.width - wide * fit) / 2, (canvas.height - high * fit) / 2];
  pen.font = `600 ${Math.round(14 * scale)}px system-ui, sans-serif`;
  for (const { box, label, color, dashed } of faces) {
    const [x, y, w, h] = box;
    const edge = left + (mirrored ? wide - x - w : x) * fit;
    const ceiling = top + y * fit;
    pen.lineWidth = 3 * scale;
    pen.strokeStyle = color;
    pen.setLineDash(dashed ? [8 * scale, 6 * scale] : []);
    pen.strokeRect(edge, ceiling, w * fit, h * fit);
    if (!label) continue;
    const width = pen.measureText(label).width + 12 * scale;
    const line = 22 * scale;
    const text = Math.max(0, ceiling - line);
    const side = Math.max(0, Math.min(edge - 1.5 * scale, canvas.width - width));
    pen.fillStyle = "rgba(12, 17, 22, .82)";
    pen.fillRect(side, text, width, line);
    pen.fillStyle = "#fff";
    pen.textBaseline = "middle";
    pen.textAlign = "left"; // also on a page from right to left
    pen.fillText(label, side + 6 * scale, text + line / 2);
  }
}
