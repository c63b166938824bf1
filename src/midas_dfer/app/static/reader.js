// The model is loaded while the page is there already; until then nothing can be read.

import { ask, say } from "./common.js";

const [ready, loading, model] = ["ready", "loading", "model"].map((id) => document.getElementById(id));

export async function loadReader() {
  if (!ready.disabled) return;
  try {
    const told = await ask("/api/reader");
    model.textContent = say("model_is", told);
    ready.disabled = false;
    loading.textContent = "";
  } catch (error) {
    loading.textContent = say("reader_failed", { why: error.message });
    loading.classList.add("wrong");
  }
}
