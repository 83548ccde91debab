// What the page shows of the service itself: whether it is ready, its limits and its formats.

import * as api from "./api.js";
import { FORMAT_NAMES } from "./download.js";

const $ = (id) => document.getElementById(id);

// Looks again until the service is ready.
export async function showState() {
  try {
    const state = await api.state();
    $("service").textContent = state.ready ? "Ready" : state.problem;
    $("version").textContent = state.ready ? ` · models ${state.version}` : "";
    $("keep").textContent = state.keep_hours === 1 ? "after an hour" : `after ${state.keep_hours} hours`;
    $("service").classList.toggle("good", state.ready);
    $("limits").textContent = `up to ${Math.round(state.song_seconds / 60)} minutes and ${state.upload_mb} MB`;
    $("format").replaceChildren(...state.formats.map((f) => new Option(FORMAT_NAMES[f] || f, f)));
    for (const option of $("candidates").options) option.disabled = Number(option.value) > state.max_candidates;
    $("key-field").hidden = !state.key_needed;
    if (!state.ready) setTimeout(showState, 1000);
  } catch (error) {
    $("service").textContent = error.message;
    setTimeout(showState, 3000);
  }
}
