// What all pages share: their words, requests to the server, and the look of shares.

export const words = JSON.parse(document.getElementById("words").textContent);

export const language = document.documentElement.lang;
const plural = new Intl.PluralRules(language);

/** A text, with its {names} filled in; of {name|one=clip|other=clips} the form that the number asks for. */
export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)((?:\|\w+=[^|}]*)*)\}/g, (whole, key, forms) => {
    if (!(key in values)) return whole;
    if (!forms) return typeof values[key] === "number" ? figure(values[key]) : String(values[key]);
    const by = Object.fromEntries(forms.slice(1).split("|").map((form) => form.split("=")));
    return by[plural.select(values[key])] ?? by.other;
  });
}

/** A number as people of the page's language write it. */
export function figure(value, digits = 0) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Ask the server; what it refuses is thrown as an Error with its sentence. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(say("offline"));
  }
  if (response.status === 401) location.assign("/enter");
  const values = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(values.error ?? response.statusText);
  return values;
}

export function post(path, values) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });
}

/** An element with attributes, and children that are elements or texts (never markup). */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function status(text, wrong = false) {
  const place = document.getElementById("said");
  place.textContent = text;
  place.classList.toggle("wrong", wrong);
}

export function percent(share) {
  return share.toLocaleString(language, { style: "percent" });
}

/** A time as people of the page's language write it. */
export function day(time) {
  return new Date(time).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

let emotions = {};

/** Take over which of a model's classes is which emotion. */
export function know(looks) {
  emotions = looks.emotions;
}

/** A class by its name in the language of the page; as the model has it where it is no emotion that is known here. */
export function named(name) {
  return words[`emotion_${emotions[name]}`] ?? name;
}

/** Such as "happy 51 %, sad 30 %": the largest shares, in words. */
export function inWords(classes, shares, most = 3) {
  const order = shares.map((_, k) => k).sort((a, b) => shares[b] - shares[a]);
  const told = order.slice(0, most).filter((k, place) => place === 0 || shares[k] >= 0.05);
  return told.map((k) => `${named(classes[k])} ${percent(shares[k])}`).join(", ");
}

export function showLegend(classes, colors) {
  const items = classes.map((name) => {
    const dot = make("i", { class: "dot" });
    dot.style.setProperty("--c", colors[name]);
    return make("li", {}, dot, named(name));
  });
  document.getElementById("legend").replaceChildren(...items);
}

document.getElementById("language").addEventListener("change", async (event) => {
  await post("/api/language", { language: event.target.value }).catch(() => {});
  location.reload();
});
