// Watch a clip, answer with a key or a click, go on. Every answer is on the disk before the next clip is shown.

import { ask, know, make, named, playable, post, say, status } from "./common.js";

const at = (id) => document.getElementById(id);
const [video, picture, answers] = ["video", "picture", "answers"].map(at);
const KEYS = [..."1234567890abcdefghijklmnopqrstvwxyz"]; // u is for unsure
let task = null;
let shown = 0; // when the clip began to be shown
let busy = false;
let briefed = false; // whether the person has begun, in this page or before
const chosen = new Set();

function show(told) {
  task = told;
  know(told);
  briefed ||= told.number > 1;
  if (!briefed || !told.agreed) return brief();
  at("briefing").hidden = true;
  chosen.clear();
  sayCopying("");
  at("left").textContent = say("vote_left", told);
  at("progress").value = told.done / Math.max(1, told.done + told.left);
  at("undo").disabled = at("undo_last").disabled = told.done === 0;
  at("voting").hidden = told.clip_id === null;
  at("finished").hidden = told.clip_id !== null;
  at("thanks").textContent = say("vote_all_done", { name: told.name });
  at("keys").textContent = say(told.several ? "vote_keys_several" : "vote_keys_one");
  at("next").hidden = !told.several;
  if (told.clip_id === null) {
    video.removeAttribute("src");
    at("thanks").focus();
    return;
  }
  const address = `/api/vote/clip/${told.clip_id}`;
  video.hidden = told.is_picture;
  picture.hidden = !told.is_picture;
  if (told.is_picture) picture.src = address;
  else {
    picture.removeAttribute("src");
    showVideo(told, address);
  }
  shown = performance.now();
  drawAnswers();
}

/** What is asked and stored, before the first clip and whenever somebody wants to know. */
function brief() {
  video.pause();
  task = { ...task }; // a clip that is not there yet does not begin behind this
  at("voting").hidden = at("finished").hidden = true;
  at("consent").hidden = !task.consent;
  at("text").textContent = task.consent;
  at("begin").textContent = say(task.agreed ? "brief_begin" : "brief_agree");
  at("refused").textContent = "";
  at("briefing").hidden = false;
  at("before").focus();
}

async function begin() {
  try {
    const told = task.agreed ? task : await post("/api/vote/agree", { text: task.consent });
    briefed = true;
    show(told);
    at("question").focus();
  } catch (error) {
    at("refused").textContent = say("failed", { why: error.message });
  }
}

/** Show a clip once a browser can play it; until then, say how far its copy is. */
async function showVideo(told, address) {
  if (video.src.endsWith(address)) video.currentTime = 0;
  else {
    video.removeAttribute("src");
    video.load(); // or the clip before it would stay
    const isPlayable = await playable(address, () => task === told, sayCopying);
    if (task !== told) return;
    answers.inert = at("next").disabled = false; // also where it never can be played: "unsure" is an answer
    if (!isPlayable) return;
    video.src = address;
    shown = performance.now();
  }
  video.play().catch(() => {}); // a browser may want a click first; there are controls
}

/** How far the copy of a clip is; meanwhile nobody can judge it. */
function sayCopying(text) {
  at("copying").textContent = text;
  answers.inert = at("next").disabled = Boolean(text);
}

/** The buttons stay from clip to clip, so that who moves by keys stays where they are. */
function drawAnswers() {
  if (!answers.children.length) {
    const buttons = task.classes.map((name, number) => newAnswer(KEYS[number] ?? "", named(name), () => choose(name), task.colors[name]));
    answers.append(...buttons, ...(task.unsure ? [newAnswer("u", say("vote_unsure"), () => answer([]))] : []));
  }
  if (!task.several) return;
  task.classes.forEach((name, number) => answers.children[number].setAttribute("aria-pressed", String(chosen.has(name))));
}

function newAnswer(key, text, onClick, color = "var(--line)") {
  const button = make("button", { type: "button" }, make("kbd", {}, key), text);
  button.style.setProperty("--c", color);
  button.addEventListener("click", onClick);
  return button;
}

function choose(name) {
  if (!task.several) return answer([name]);
  if (!chosen.delete(name)) chosen.add(name);
  return drawAnswers();
}

async function answer(emotions) {
  await change(async () => {
    const { clip_id, number } = task;
    const told = await post("/api/vote", { clip_id, number, emotions, ms: Math.round(performance.now() - shown) });
    status(say("vote_saved", { what: emotions.map(named).join(say("comma")) || say("vote_unsure") }));
    return told;
  });
}

async function undo() {
  await change(async () => {
    const told = await post("/api/vote/undo", { number: task.number });
    status(say("vote_taken_back"));
    return told;
  });
}

/** One change at a time; what the server refuses is said, and the page shows what the server knows. */
async function change(doing) {
  if (busy) return;
  busy = true;
  try {
    show(await doing());
  } catch (error) {
    status(say("failed", { why: error.message }), true);
    await ask("/api/vote").then(show).catch(() => {});
  } finally {
    busy = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (!task || !at("briefing").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("select")) return;
  const key = event.key.toLowerCase();
  const name = task.classes[KEYS.indexOf(key)];
  if (key === "backspace" && task.done) undo();
  else if (task.clip_id === null || answers.inert) return;
  else if (name !== undefined) choose(name);
  else if (key === "u" && task.unsure) answer([]);
  else if (key === "enter" && task.several && chosen.size && !event.target.closest("button")) answer([...chosen]);
  else if (key === " " && !event.target.closest("button")) {
    video.currentTime = 0;
    video.play().catch(() => {});
  } else return;
  event.preventDefault();
});
at("next").addEventListener("click", () => chosen.size && answer([...chosen]));
at("begin").addEventListener("click", begin);
at("brief").addEventListener("click", brief);
at("undo").addEventListener("click", undo);
at("undo_last").addEventListener("click", undo);
ask("/api/vote")
  .then(show)
  .catch((error) => status(say("failed", { why: error.message }), true));
