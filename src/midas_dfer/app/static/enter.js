// A key behind the # of the address, or one that is typed, opens a session.

import { post, say, status } from "./common.js";

async function enter(key) {
  try {
    await post("/enter", { key });
    location.replace("/");
  } catch (error) {
    status(say("failed", { why: error.message }), true);
  }
}

const key = location.hash.slice(1);
if (key) {
  history.replaceState(null, "", location.pathname); // the key stays in no history
  enter(key);
}
document.getElementById("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = document.getElementById("key").value.trim();
  enter(typed.includes("#") ? typed.slice(typed.indexOf("#") + 1) : typed);
});
