// What the page shows of the service itself: whether it is ready, its limits and its formats.

import * as api from "./api.js";
import { FORMAT_NAMES } from "./download.js";

const $ = (id) => document.getElementById(id);

let licence = { version: "", name: "" };

// The models that made a kit, with their licence where it is known.
export const models = (version) => (version === licence.version && licence.name ? `Models ${version}, licence ${licence.name}.` : `Models ${version}.`);

// Looks again until the service is ready.
export async function showState() {
  try {
    const state = await api.state();
    $("service").textContent = state.ready ? "Ready" : state.problem;
    licence = { version: state.version, name: state.licence };
    $("version").textContent = state.ready ? ` · models ${state.version}${state.licence ? `, ${state.licence}` : ""}` : "";
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
