// The service as this page uses it. Every failure becomes an Error whose message is a sentence for people.

let key = sessionStorage.getItem("dose-key") || "";

export function setKey(value) {
  key = value.trim();
  sessionStorage.setItem("dose-key", key);
}

async function call(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(key ? { "X-API-Key": key } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The service cannot be reached; check that it runs, then try again.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const error = new Error(told.error || `The service answered ${answer.status}; try again.`);
  error.status = answer.status;
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
export const kit = async (id) => (await call(`jobs/${id}/kit?reply=json`)).json();

export async function download(id, options) {
  const answer = await call(`jobs/${id}/kit?${new URLSearchParams({ ...options, reply: "zip" })}`);
  return answer.blob();
}

// Resolves when the job is over; `tell` hears of every step on the way.
export async function follow(id, tell, signal) {
  for (;;) {
    const now = await job(id);
    tell(now);
    if (!["queued", "running"].includes(now.state)) return now;
    await new Promise((resolve) => setTimeout(resolve, 350));
    if (signal?.aborted) throw new DOMException("given up", "AbortError");
  }
}

// One candidate as a WAV file.
export async function hit(id, drum, rank, query) {
  return (await call(`jobs/${id}/hits/${drum}/${rank}?${query}`)).blob();
}
