// The shares of one face over time, as areas one above the other.

import { inWords, make, say } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;

function svg(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Points of time, in order, each with its shares; between two of them shares change evenly. */
export class Shares {
  constructor(windows) {
    this.points = windows
      .map(({ start, end, shares, box }) => ({ time: (start + end) / 2, start, end, shares, box }))
      .sort((a, b) => a.time - b.time);
  }

  /** The number of the window around a time; -1 without any. */
  near(time) {
    let best = -1;
    let distance = Infinity;
    this.points.forEach((point, number) => {
      const away = Math.abs(point.time - time);
      if (away < distance) [best, distance] = [number, away];
    });
    return best;
  }
}

export class Chart {
  constructor(number, classes, colors, duration, onTime, withKeys = true) {
    Object.assign(this, { number, classes, colors, duration, onTime, withKeys });
    this.heading = make("h2", {}, say("face", { number }));
    this.span = make("span");
    this.heading.append(this.span);
    this.picture = svg("svg", { class: "chart", preserveAspectRatio: "none" });
    this.areas = svg("g");
    this.now = svg("line", { class: "now", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.picture.append(this.areas, this.now);
    this.told = make("p", { class: "told" });
    this.ends = make("div", { class: "axis", "aria-hidden": "true" });
    this.element = make("div", { class: "face" }, this.heading, this.picture, this.ends, this.told);
    this.shares = new Shares([]);
    if (withKeys) {
      for (const [name, value] of Object.entries({ tabindex: 0, role: "slider", "aria-label": say("chart_label", { number }) }))
        this.picture.setAttribute(name, value);
      this.picture.addEventListener("keydown", (event) => this.key(event));
      this.picture.addEventListener("pointermove", (event) => this.point(event));
      this.picture.addEventListener("pointerdown", (event) => this.point(event, true));
    } else {
      this.picture.setAttribute("role", "img");
      this.picture.setAttribute("aria-label", say("chart_label", { number }));
    }
  }

  /** Draw these windows, between two times. */
  draw(windows, from = 0, to = this.duration) {
    this.shares = new Shares(windows);
    Object.assign(this, { from, to });
    const { points } = this.shares;
    this.picture.setAttribute("viewBox", `0 0 ${Math.max(to - from, 1e-6)} ${HEIGHT}`);
    this.ends.replaceChildren(make("span", {}, `${Math.max(0, from).toFixed(1)} s`), make("span", {}, `${to.toFixed(1)} s`));
    this.areas.replaceChildren();
    if (!points.length) return;
    const [first, last] = [points[0], points.at(-1)];
    this.span.textContent = say("face_span", { start: first.start.toFixed(1), end: last.end.toFixed(1) });
    const all = [{ ...first, time: first.start }, ...points, { ...last, time: last.end }];
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
    if (!this.withKeys) return;
    for (const [name, value] of Object.entries({ "aria-valuemin": 0, "aria-valuemax": points.length - 1 }))
      this.picture.setAttribute(name, value);
  }

  /** Mark a time, and say in words what is there. */
  mark(time) {
    const number = this.shares.near(time);
    if (number < 0) return null;
    const point = this.shares.points[number];
    const inside = time >= this.shares.points[0].start - 0.5 && time <= this.shares.points.at(-1).end + 0.5;
    this.now.setAttribute("x1", time - this.from);
    this.now.setAttribute("x2", time - this.from);
    this.now.setAttribute("visibility", "visible");
    const text = inside ? say("at_time", { time: time.toFixed(1), shares: inWords(this.classes, point.shares) }) : "";
    this.told.textContent = text;
    this.picture.setAttribute("aria-valuenow", number);
    this.picture.setAttribute("aria-valuetext", text);
    return inside ? point : null;
  }

  key(event) {
    const { points } = this.shares;
    if (!points.length) return;
    const at = Number(this.picture.getAttribute("aria-valuenow") ?? 0);
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.onTime(points[Math.min(Math.max(to, 0), points.length - 1)].time);
  }

  point(event, seek = false) {
    const { left, width } = this.picture.getBoundingClientRect();
    const time = this.from + ((event.clientX - left) / width) * (this.to - this.from);
    if (seek || event.buttons) this.onTime(time);
    else this.mark(time);
  }
}

/** Boxes over a video, each with the class that is named most; `mirrored` as the video is. */
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
  for (const { box, label, color } of faces) {
    const [x, y, w, h] = box;
    const edge = left + (mirrored ? wide - x - w : x) * fit;
    const ceiling = top + y * fit;
    pen.lineWidth = 3 * scale;
    pen.strokeStyle = color;
    pen.strokeRect(edge, ceiling, w * fit, h * fit);
    if (!label) continue;
    const width = pen.measureText(label).width + 12 * scale;
    const line = 22 * scale;
    const text = Math.max(0, ceiling - line);
    pen.fillStyle = "rgba(12, 17, 22, .82)";
    pen.fillRect(edge - 1.5 * scale, text, width, line);
    pen.fillStyle = "#fff";
    pen.textBaseline = "middle";
    pen.fillText(label, edge + 5 * scale, text + line / 2);
  }
}
