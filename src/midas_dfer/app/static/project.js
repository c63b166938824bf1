// What the organiser sees: how far people are, how they agree, which clips need more votes; and a model made of it.

import { ask, day, figure, know, make, named, percent, post, say, showLegend, status } from "./common.js";

const at = (id) => document.getElementById(id);
const ASK_EVERY = 5000; // milliseconds
let polling = 0;
let shown = ""; // what the page shows, as JSON
let origin = location.origin; // where other machines find this server

function cell(text, attributes = {}) {
  return make("td", attributes, text);
}

function table(place, heads, rows) {
  const head = make("tr", {}, ...heads.map(([text, kind]) => (text ? make("th", { class: kind ?? "", scope: "col" }, text) : make("td"))));
  place.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : figure(value, digits));

function ribbon(classes, colors, shares) {
  const order = shares.map((_, k) => k).sort((a, b) => shares[b] - shares[a]).filter((k) => shares[k] > 0);
  const parts = order.map((k) => {
    const part = make("i");
    part.style.setProperty("--c", colors[classes[k]]);
    part.style.flex = String(shares[k]);
    return part;
  });
  const text = order.map((k) => `${named(classes[k])} ${percent(shares[k])}`).join(say("comma"));
  return make("div", { class: "ribbon", role: "img", "aria-label": text, title: text }, ...parts);
}

/** Ask before something that cannot be undone. */
function sure(title, text, yes) {
  at("sure_title").textContent = title;
  at("sure_text").textContent = text;
  at("sure_yes").textContent = yes;
  const dialog = at("sure");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

/** Do what a button is for; what is refused is said. */
async function act(doing) {
  try {
    status("");
    await doing();
    await refresh();
  } catch (error) {
    status(say("failed", { why: error.message }), true);
  }
}

function show(told) {
  if (shown === JSON.stringify(told)) return;
  shown = JSON.stringify(told);
  if (told.address && ["127.0.0.1", "localhost"].includes(location.hostname)) origin = told.address;
  at("alone").hidden = Boolean(told.address);
  at("withdrawn").hidden = !told.withdrawn;
  at("withdrawn").textContent = say("project_withdrawn", { count: told.withdrawn });
  know(told);
  showLegend(told.classes, told.colors);
  const state = told.enough
    ? say(told.wanted ? "project_enough_wanted" : "project_enough")
    : say("project_left", { left: told.votes_left });
  at("state").textContent = `${say("project_votes", { votes: told.votes, clips: told.clips.length })} ${state}`;
  at("notes").replaceChildren(...told.notes.map((note) => make("li", {}, note)));
  at("join").value = `${origin}/enter#${told.join}`;
  showPeople(told);
  const tiles = [["project_alpha", told.alpha], ["project_fleiss", told.kappa]].map(([name, found]) => {
    const { low, high, clips } = found;
    const interval = low === null ? "" : say("project_interval", { low: fixed(low), high: fixed(high), clips });
    return make("div", { class: "tile" }, make("b", {}, fixed(found.value)), say(name), make("span", {}, interval || found.why));
  });
  at("agreement").replaceChildren(...tiles);
  showClips(told);
}

function showPeople({ people, consent, agreements }) {
  const rows = people.map((each) => {
    const { name, number } = each.annotator;
    const link = make("button", { type: "button", id: `link_${number}`, "aria-label": say("project_new_link_of", { name }) }, say("project_new_link"));
    link.addEventListener("click", () => makeLink(`/api/project/people/${number}`, {}));
    const remove = make("button", { type: "button", id: `remove_${number}`, "aria-label": say("project_remove_of", { name }) }, say("project_remove"));
    remove.addEventListener("click", () => withdraw(each));
    const who = make("th", { scope: "row" }, name);
    if (each.by_habit) who.append(make("span", { class: "small below" }, say("project_habit")));
    return make(
      "tr", {}, who, cell(each.votes, { class: "n" }), cell(each.unsure, { class: "n" }), cell(fixed(each.seconds, 1), { class: "n" }),
      cell(fixed(each.kappa), { class: "n" }), cell(each.self_agreement === null ? "–" : percent(each.self_agreement), { class: "n" }),
      cell(each.gold_score === null ? "–" : percent(each.gold_score), { class: "n" }),
      ...(consent ? [cell(number in agreements ? day(agreements[number]) : "–", { class: "n" })] : []),
      make("td", { class: "n" }, link, " ", remove),
    );
  });
  const agreed = consent ? [[say("project_agreed"), "n"]] : [];
  const heads = ["votes_column", "unsure", "seconds", "kappa", "again", "gold"].map((name) => [say(`project_${name}`), "n"]);
  table(at("people"), [[say("project_name")], ...heads, ...agreed, [""]], rows);
}

async function withdraw({ annotator: { name, number }, votes, unsure }) {
  const yes = say("project_remove_yes", { name, count: votes + unsure });
  if (!(await sure(say("project_remove_title", { name }), say("project_remove_text"), yes))) return;
  const options = { method: "DELETE", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name }) };
  await act(() => ask(`/api/project/people/${number}`, options));
}

async function newJoin() {
  if (await sure(say("project_new_join"), say("project_new_join_text"), say("project_new_join"))) await act(() => post("/api/project/join", {}));
}

function showClips({ clips, classes, colors }) {
  const rows = clips.map((clip) =>
    make(
      "tr", {}, make("th", { scope: "row" }, clip.path), cell(clip.people, { class: "n" }),
      make("td", {}, clip.soft_label ? ribbon(classes, colors, clip.soft_label) : ""),
      cell(fixed(clip.expected_change), { class: "n" }), cell(clip.needs_more ? say("project_needs") : "", { class: "small" }),
    ),
  );
  const heads = [[say("project_clips")], [say("project_votes_column"), "n"], [say("project_shares")], [say("project_change"), "n"], [""]];
  table(at("clips"), heads, rows);
}

async function makeLink(path, values) {
  await act(async () => {
    const { name, token } = await post(path, values);
    at("made").textContent = say("project_link_of", { name });
    at("link").value = `${origin}/enter#${token}`;
    at("made").hidden = at("link").hidden = false;
    at("link").focus();
    at("link").select();
  });
}

function showMaking(told) {
  const button = at("train");
  button.textContent = say(told.running ? "make_stop" : "make_begin");
  button.dataset.running = told.running ? "yes" : "";
  const steps = told.steps.map((step) => {
    const item = make("li", { class: step.state }, say(`make_${step.name}`));
    item.append(make("span", {}, say(`make_state_${step.state}`)));
    return item;
  });
  at("steps").replaceChildren(...steps);
  const last = [...told.steps].reverse().find((step) => step.lines.length);
  at("lines").hidden = !last || (last.state === "done" && !told.running);
  at("lines").textContent = last ? last.lines.join("\n") : "";
  at("lines").scrollTop = at("lines").scrollHeight;
  const models = [...told.models].reverse().map((number) => {
    const { clips, uar, war, total_variation: tv } = told.scores[number];
    const scores = clips ? say("make_scores", { clips, uar: uar === null ? "–" : percent(uar), war: war === null ? "–" : percent(war), tv: fixed(tv) }) : "";
    const use = make("button", { type: "button", id: `use_${number}` }, say("make_use", { number }));
    use.addEventListener("click", () => useModel(number));
    const report = make("a", { class: "button", id: `report_${number}`, href: `/project/models/${number}/report`, target: "_blank" }, say("make_open_report", { number }));
    const buttons = make("div", { class: "row gap" }, use, ...(clips ? [report] : []));
    return make("div", { class: "model" }, make("strong", {}, say("make_model", { number })), make("p", { class: "small" }, scores), buttons);
  });
  at("models").replaceChildren(...models);
}

async function useModel(number) {
  await act(async () => {
    const told = await post(`/api/project/models/${number}`, {});
    at("used").textContent = say("make_used", { model: told.model });
  });
}

async function refresh() {
  const [told, making] = await Promise.all([ask("/api/project"), ask("/api/project/models")]);
  const focused = document.activeElement?.id;
  show(told);
  showMaking(making);
  if (focused && document.activeElement?.id !== focused) at(focused)?.focus({ preventScroll: true }); // who is at a button stays there
  clearTimeout(polling);
  polling = setTimeout(() => refresh().catch(() => {}), making.running ? 1000 : ASK_EVERY);
}

at("add").addEventListener("submit", (event) => {
  event.preventDefault();
  makeLink("/api/project/people", { name: at("name").value });
  at("name").value = "";
});
at("train").addEventListener("click", ({ target }) =>
  act(() => (target.dataset.running ? ask("/api/project/models", { method: "DELETE" }) : post("/api/project/models", {}))),
);
at("new_join").addEventListener("click", newJoin);
for (const id of ["join", "link"]) at(id).addEventListener("focus", (event) => event.target.select());
refresh().catch((error) => status(say("failed", { why: error.message }), true));
