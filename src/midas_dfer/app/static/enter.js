// A key behind the # of the address, or one that is typed, opens a session; the common link of a project asks for a name.

import { post, say, status } from "./common.js";

const at = (id) => document.getElementById(id);
let common = ""; // the key of the common link

async function enter(key, values = {}) {
  try {
    const told = await post("/enter", { key, ...values });
    if (told.needs_name) {
      common = key;
      at("enter").hidden = at("lead").hidden = true;
      at("join").hidden = false;
      at("name").focus();
    } else if (told.token) {
      at("join").hidden = true;
      at("own").value = `${location.origin}/enter#${told.token}`;
      at("joined").hidden = false;
      at("own").focus();
      status("");
    } else location.replace(told.at);
  } catch (error) {
    status(say("failed", { why: error.message }), true);
  }
}

function enterByAddress() {
  const key = location.hash.slice(1);
  if (!key) return;
  history.replaceState(null, "", location.pathname); // the key stays in no history
  enter(key);
}

enterByAddress();
window.addEventListener("hashchange", enterByAddress); // the address with the key, pasted where this page is open
at("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = at("key").value.trim();
  enter(typed.includes("#") ? typed.slice(typed.indexOf("#") + 1) : typed);
});
at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(common, { name: at("name").value });
});
at("own").addEventListener("focus", (event) => event.target.select());
