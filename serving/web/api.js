// The HTTP API as this page uses it. Every failure becomes an Error whose message can be shown to the user.

let key = sessionStorage.getItem("dose-key") || "";

export function setKey(value) {
  key = value.trim();
  sessionStorage.setItem("dose-key", key);
}

export const hasKey = () => Boolean(key);

async function call(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(key ? { "X-API-Key": key } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service cannot be reached; check that it runs, then try again.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.error || `The service answered ${response.status}; try again.`);
  error.status = response.status;
  throw error;
}

export const state = async () => (await call("state")).json();

export async function submit(file, candidates) {
  const form = new FormData();
  form.append("candidates", candidates);
  form.append("audio", file);
  return (await call("jobs", { method: "POST", body: form })).json();
}

export async function reroll(job, drum, candidates, seed) {
  const query = new URLSearchParams({ drums: drum, candidates, seed });
  return (await call(`jobs/${job}/reroll?${query}`, { method: "POST" })).json();
}

export const job = async (id) => (await call(`jobs/${id}`)).json();
export const cancel = async (id) => (await call(`jobs/${id}/cancel`, { method: "POST" })).json();
export const retry = async (id) => (await call(`jobs/${id}/retry`, { method: "POST" })).json();
export const song = async (id) => (await call(`jobs/${id}/song`)).blob();
export const example = async () => (await call("example.flac")).blob();
export const kit = async (id) => (await call(`jobs/${id}/kit?response=json`)).json();

export async function download(id, options) {
  const response = await call(`jobs/${id}/kit?${new URLSearchParams({ ...options, response: "zip" })}`);
  return response.blob();
}

// Polls a job until it has ended; calls `onProgress` with each response.
export async function follow(id, onProgress, signal) {
  for (;;) {
    const status = await job(id);
    onProgress(status);
    if (!["queued", "running"].includes(status.state)) return status;
    await new Promise((resolve) => setTimeout(resolve, 350));
    if (signal?.aborted) throw new DOMException("given up", "AbortError");
  }
}

// The song's hits as a MIDI file; `timing` is played or quantised.
export const midiPath = (id, timing) => `jobs/${id}/midi?timing=${timing}`;
export const midi = async (id, timing) => (await call(midiPath(id, timing))).blob();

// One candidate as a WAV file.
export const hitPath = (id, drum, rank, query) => `jobs/${id}/hits/${drum}/${rank}?${query}`;
export const hit = async (id, drum, rank, query) => (await call(hitPath(id, drum, rank, query))).blob();
