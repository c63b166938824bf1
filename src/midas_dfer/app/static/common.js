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

export function percent(share, digits = 0) {
  return share.toLocaleString(language, { style: "percent", maximumFractionDigits: digits });
}

/** A time as people of the page's language write it. */
export function day(time) {
  return new Date(time).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
}

/** A number with its unit, in the language of the page: "12 min", "3,5 GB". */
export function amount(value, unit, digits = 0) {
  return value.toLocaleString(language, { style: "unit", unit, maximumFractionDigits: digits });
}

/** A time in a video, such as 1:02:03. */
export function clock(time, tenths = false) {
  const rounded = tenths ? Math.round(10 * time) / 10 : Math.round(time);
  const [hours, minutes] = [Math.floor(rounded / 3600), Math.floor(rounded / 60) % 60];
  const seconds = (rounded % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

export function duration(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return amount(value, unit, unit === "hour" ? 1 : 0);
}

function size(bytes) {
  return bytes < 1e9 ? amount(bytes / 1e6, "megabyte") : amount(bytes / 1e9, "gigabyte", 1);
}

/** Wait until a browser can play what is at an address, and `tell` how far its copy is; false where it never can. */
export async function playable(address, wanted, tell) {
  for (;;) {
    const told = await ask(`${address}/copy`).catch((error) => ({ state: "failed", error: error.message }));
    if (!wanted()) return false;
    const [need, free, spare] = [told.need, told.free, told.spare].map((bytes) => size(bytes ?? 0));
    const texts = {
      ready: () => "",
      waiting: () => say("copy_waiting"),
      copying: () => (told.share === null ? say("copying_unknown") : say("copying", { percent: percent(told.share) })),
      no_room: () => say("copy_no_room", { need, free, spare }),
      failed: () => say("copy_failed", { why: told.error }),
    };
    tell(texts[told.state]());
    if (told.state !== "waiting" && told.state !== "copying") return told.state === "ready";
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
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
  return told.map((k) => `${named(classes[k])} ${percent(shares[k])}`).join(say("comma"));
}

/** Why a model names no emotion, in words. */
export function reason(silent) {
  return say(`silent_${silent.replaceAll(" ", "_")}`);
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
