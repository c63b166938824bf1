// Which part of a long video is shown: all charts share it, and a strip above them shows the whole.

import { clock, say } from "./common.js";

const at = (id) => document.getElementById(id);
const LONG = 60; // seconds; what is shorter is shown whole
const CLOSEST = 5; // seconds; nothing is shown closer
const STEP = 1.5; // of a button or key that zooms
const MOST = 12; // charts of a long video at a time

export class View {
  /** `charts` gives those that share this view, by face. */
  constructor(charts) {
    Object.assign(this, { charts, strip: at("strip"), faces: at("faces"), drawing: 0 });
    this.reset();
    at("closer").addEventListener("click", () => this.zoom(1 / STEP));
    at("wider").addEventListener("click", () => this.zoom(STEP));
    at("whole").addEventListener("click", () => this.show(0, this.end));
    document.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("keydown", (event) => this.stripKey(event));
    this.strip.addEventListener("wheel", (event) => this.wheel(event, this.timeOf(event)), { passive: false });
    this.faces.addEventListener("wheel", (event) => this.wheelOverCharts(event), { passive: false });
    this.letDrag();
    this.letPinch();
    window.addEventListener("resize", () => this.redraw());
  }

  reset() {
    Object.assign(this, { from: 0, to: 0, end: 0, time: 0, here: "" });
    at("zoom").hidden = true;
  }

  get long() {
    return this.end >= LONG;
  }

  /** The video is known up to here; a view of the whole stays one. */
  reach(end) {
    const whole = this.from === 0 && this.to === this.end;
    this.end = end;
    this.show(this.from, whole ? end : this.to);
    this.redraw();
  }

  show(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(CLOSEST, this.end)), this.end);
    this.from = Math.min(Math.max(from, 0), this.end - span);
    this.to = this.from + span;
    this.drawing ||= requestAnimationFrame(() => this.redrawCharts());
  }

  /** Show `factor` times as much, and leave a time where it is; without one, the one that is played, or the middle. */
  zoom(factor, around = null) {
    const isPlayed = this.time >= this.from && this.time <= this.to;
    const time = around ?? (isPlayed ? this.time : (this.from + this.to) / 2);
    const place = Math.min(Math.max((time - this.from) / (this.to - this.from), 0), 1);
    const span = Math.min(Math.max(factor * (this.to - this.from), CLOSEST), this.end);
    this.show(time - place * span, time + (1 - place) * span);
  }

  move(share) {
    const way = share * (this.to - this.from);
    this.show(this.from + way, this.to + way);
  }

  /** Turn the page when the time that is played leaves it; not where somebody looks at another part. */
  follow(time) {
    const leaves = this.time >= this.from && this.time <= this.to && time > this.to;
    const span = this.to - this.from;
    if (leaves) this.show(time - span / 10, time + (9 * span) / 10);
    this.mark(time);
  }

  /** Go to where a time can be seen. */
  reveal(time) {
    const span = this.to - this.from;
    if (time < this.from || time > this.to) this.show(time - span / 2, time + span / 2);
    this.mark(time);
  }

  mark(time) {
    this.time = time;
    if (!this.long) return;
    at("now").style.left = `${(100 * time) / this.end}%`;
    const here = [...this.charts()].filter((chart) => chart.timeIn(time, time) >= 0);
    const names = here.map((chart) => chart.number).join();
    if (names === this.here) return;
    this.here = names; // who is there now: their charts are shown
    if (here.some((chart) => chart.element.hidden)) this.show(this.from, this.to);
  }

  redraw() {
    at("zoom").hidden = !this.long;
    if (this.long) this.drawStrip();
    this.redrawCharts();
  }

  redrawCharts() {
    cancelAnimationFrame(this.drawing);
    this.drawing = 0;
    const { from, to, long } = this;
    const width = this.faces.clientWidth;
    const charts = [...this.charts()];
    const rank = (chart) => (chart.timeIn(this.time, this.time) >= 0 ? Infinity : chart.timeIn(from, to));
    const there = charts.filter((chart) => chart.timeIn(from, to) > 0 || !long).sort((a, b) => (rank(a) < rank(b)) - (rank(a) > rank(b)));
    const shown = new Set(long ? there.slice(0, MOST) : there);
    for (const chart of charts) {
      chart.element.hidden = !shown.has(chart) && !chart.element.contains(document.activeElement);
      if (chart.element.hidden) continue;
      chart.draw(from, to, width, long);
      chart.mark(this.time);
    }
    if (!long) return;
    const left = there.length - shown.size;
    at("others").textContent = left ? say("more_faces", { count: left }) : shown.size ? "" : say("no_face_here");
    const part = say("span", { start: clock(from), end: clock(to) });
    at("part").textContent = part;
    at("window").style.left = `${(100 * from) / this.end}%`;
    at("window").style.width = `${(100 * (to - from)) / this.end}%`;
    const values = { "aria-valuemin": 0, "aria-valuemax": Math.round(this.end), "aria-valuenow": Math.round(from), "aria-valuetext": part };
    for (const [name, value] of Object.entries(values)) this.strip.setAttribute(name, value);
    this.mark(this.time);
  }

  /** The whole: for each column of pixels the mean of all faces that are there. */
  drawStrip() {
    const canvas = at("overview");
    const width = (canvas.width = canvas.clientWidth);
    const height = (canvas.height = canvas.clientHeight);
    const columns = Array.from({ length: width }, () => ({ shares: [], count: 0 }));
    let looks = null;
    for (const chart of this.charts()) {
      looks = chart;
      for (const { start, end, shares } of chart.shares.between(0, this.end, width)) {
        const last = Math.min(width, Math.ceil((end / this.end) * width));
        for (let x = Math.floor((start / this.end) * width); x < last; x += 1) {
          shares.forEach((share, k) => (columns[x].shares[k] = (columns[x].shares[k] ?? 0) + share));
          columns[x].count += 1;
        }
      }
    }
    const pen = canvas.getContext("2d");
    columns.forEach(({ shares, count }, x) => {
      let bottom = height;
      shares.forEach((share, k) => {
        const high = (height * share) / count;
        pen.fillStyle = looks.colors[looks.classes[k]];
        pen.fillRect(x, bottom - high, 1, high);
        bottom -= high;
      });
    });
  }

  key(event) {
    if (!this.long || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    const does = { "+": () => this.zoom(1 / STEP), "=": () => this.zoom(1 / STEP), "-": () => this.zoom(STEP), 0: () => this.show(0, this.end) };
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]();
  }

  stripKey(event) {
    const does = {
      ...{ ArrowLeft: () => this.move(-0.1), ArrowRight: () => this.move(0.1), PageUp: () => this.move(1), PageDown: () => this.move(-1) },
      ...{ Home: () => this.show(0, this.to - this.from), End: () => this.show(this.end - this.to + this.from, this.end) },
    };
    if (!does[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    does[event.key]();
  }

  wheel(event, time) {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(Math.sign(event.deltaX || event.deltaY) / 10);
    else this.zoom(Math.exp(Math.min(Math.max(event.deltaY, -100), 100) / 250), time);
  }

  /** Over charts the wheel scrolls the page, unless Ctrl is held, which is also what a pinch on a trackpad looks like. */
  wheelOverCharts(event) {
    const isAside = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (this.long && event.target.closest(".chart") && (event.ctrlKey || isAside)) this.wheel(event, this.timeOver(event.clientX));
  }

  timeOver(x) {
    const { left, width } = this.faces.getBoundingClientRect();
    return this.from + ((x - left) / width) * (this.to - this.from);
  }

  timeOf(event) {
    const { left, width } = this.strip.getBoundingClientRect();
    return ((event.clientX - left) / width) * this.end;
  }

  /** A press on the strip takes the window there; it then follows the pointer. */
  letDrag() {
    let grip = null; // from the start of the window to the pointer, in seconds
    const move = (event) => this.show(this.timeOf(event) - grip, this.timeOf(event) - grip + this.to - this.from);
    this.strip.addEventListener("pointerdown", (event) => {
      const time = this.timeOf(event);
      grip = time >= this.from && time <= this.to ? time - this.from : (this.to - this.from) / 2;
      this.strip.setPointerCapture(event.pointerId);
      move(event);
    });
    this.strip.addEventListener("pointermove", (event) => grip !== null && move(event));
    for (const name of ["pointerup", "pointercancel"]) this.strip.addEventListener(name, () => (grip = null));
  }

  /** Two fingers on the charts zoom. */
  letPinch() {
    const fingers = new Map();
    const apart = () => Math.abs([...fingers.values()].reduce((a, b) => a - b)) + 1;
    const take = (event) => {
      if (event.pointerType !== "touch" || !this.long) return;
      const before = fingers.size === 2 ? apart() : 0;
      fingers.set(event.pointerId, event.clientX);
      if (fingers.size !== 2) return;
      event.stopPropagation(); // no finger seeks
      if (before) this.zoom(before / apart(), this.timeOver([...fingers.values()].reduce((a, b) => a + b) / 2));
    };
    this.faces.addEventListener("pointerdown", take, true);
    this.faces.addEventListener("pointermove", (event) => fingers.has(event.pointerId) && take(event), true);
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
}
