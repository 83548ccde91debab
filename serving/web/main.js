// The page: one song, one job at a time, and the kit that came of it.

import * as api from "./api.js";
import { DRUMS, Pad } from "./pads.js";
import { Sequencer } from "./sequencer.js";
import { clock, tempoOf } from "./sound.js";
import { Wave } from "./wave.js";

const $ = (id) => document.getElementById(id);
const STAGES = { queued: "Waiting for a turn", waiting: "Starting", listen: "Listening to the song", kick: "Making the kick", snare: "Making the snare", hihat: "Making the hi-hat", done: "Done" };
const now = { job: null, file: null, rolled: 0, song: new Set() }; // song: the jobs on the song that is drawn
let wave;

const show = (id, on = true) => { $(id).hidden = !on; };
const say = (text) => { $("said").textContent = text; };

function fail(error, retry, what) {
  if (error.name === "AbortError") return;
  if (error.status === 401) { show("key-field"); $("key").focus(); }
  $("error-what").textContent = what || "That did not work";
  $("error-text").textContent = error.message;
  $("error-retry").hidden = !retry;
  $("error-retry").onclick = () => { show("error", false); retry(); };
  show("error");
  show("work", false);
}

const pads = Object.fromEntries(Object.keys(DRUMS).map((drum) => [drum, new Pad(drum, { roll: reroll, save: saveOne, chosen: mark })]));
$("pads").append(...Object.values(pads).map((pad) => pad.card));
$("fingers").append(...Object.values(pads).map((pad) => pad.finger));
const sequencer = new Sequencer($("grid"), pads);

function progress(job) {
  const percent = Math.round(100 * job.progress);
  $("bar").setAttribute("aria-valuenow", percent);
  $("bar").firstElementChild.style.width = `${Math.max(3, percent)}%`;
  $("percent").value = `${percent} %`;
  const ahead = job.state === "queued" && job.position ? `, ${job.position} before you` : "";
  const text = `${STAGES[job.stage] || job.stage}${ahead}`;
  if ($("work-text").textContent !== text) $("work-text").textContent = text;
}

async function open(file) {
  now.file = file;
  now.rolled = 0;
  show("error", false);
  for (const id of ["kit", "steps", "take", "song", "again", "undo", "fingers"]) show(id, false);
  sequencer.stop();
  $("work-title").textContent = `Working on ${file.name}`;
  progress({ progress: 0, stage: "queued", state: "queued", position: 0 });
  show("work");
  show("drop", false);
  say(`Sending ${file.name}`);
  try {
    const job = await api.submit(file, $("candidates").value);
    now.job = job.id;
    now.song = new Set([job.id]);
    location.hash = `job=${job.id}`;
    draw(file);
    await finish(job.id);
  } catch (error) {
    show("drop");
    fail(error, [400, 413].includes(error.status) ? null : () => open(file), `${file.name} was not taken`);
  }
}

async function draw(file) {
  $("song-title").textContent = file.name;
  show("song");
  wave ??= new Wave($("wave"), $("clock"), $("play"));
  try {
    await wave.load(file);
    $("tempo").value = tempoOf(wave.buffer);
    sequencer.bpm = Number($("tempo").value);
    mark();
  } catch {
    say("This browser cannot show the waveform of this format; the extraction goes on.");
  }
}

// After a reload, or a step back, the song comes from the service.
async function reopen(id) {
  now.job = id;
  for (const part of ["drop", "error"]) show(part, false);
  if ($("kit").hidden) show("work");
  try {
    await finish(id);
    if (!now.song.has(id) || $("song").hidden) {
      now.song = new Set([id]);
      await draw(new File([await api.song(id)], "Your song"));
    }
  } catch (error) {
    restart();
    fail(error);
  }
}

async function finish(id) {
  now.job = id;
  const job = await api.follow(id, (j) => { if (now.job === id) progress(j); });
  if (now.job !== id) return;
  show("work", false);
  if (job.state === "cancelled") { show("drop"); show("song", false); return say("Cancelled."); }
  if (job.state === "failed") {
    show("drop");
    show("song", false);
    const again = async () => { show("drop", false); show("work"); await api.retry(id); finish(id).catch(fail); };
    return fail(new Error(job.error), again, `${now.file?.name || "The song"} gave no kit`);
  }
  for (const pad of Object.values(pads)) pad.seed = Math.max(pad.seed, job.seed);
  await showKit(id);
  say("Your kit is ready.");
  $("kit").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

async function showKit(id, only) {
  const kit = await api.kit(id);
  for (const [drum, hits] of Object.entries(kit.drums)) {
    if (!only || only === drum) await pads[drum].show(hits);
  }
  for (const part of ["kit", "steps", "take", "again", "fingers"]) show(part);
  show("undo", now.rolled > 0);
  mark();
}

function mark() {
  const heard = (pad) => (pad.absent ? [] : [...new Set(pad.hits.map((h) => h.time))].sort((a, b) => a - b));
  const hits = Object.fromEntries(Object.entries(pads).map(([drum, pad]) => [drum, heard(pad)]));
  if (wave?.buffer) wave.mark(hits);
  $("legend").replaceChildren(...Object.entries(hits).filter(([, times]) => times.length).map(([drum, times]) => {
    const item = document.createElement("li");
    item.style.setProperty("--drum", DRUMS[drum].colour);
    item.textContent = `${DRUMS[drum].title} at ${times.map(at).join(", ")}`;
    return item;
  }));
}

async function reroll(pad) {
  pad.busy(true);
  say(`Making another ${pad.drum}`);
  try {
    pad.seed += 1;
    const job = await api.reroll(now.job, pad.drum, $("candidates").value, pad.seed);
    const done = await api.follow(job.id, () => {});
    if (done.state !== "done") throw new Error(done.error || "The re-roll was stopped.");
    now.job = job.id;
    now.song.add(job.id);
    now.rolled += 1;
    location.hash = `job=${job.id}`;
    await showKit(job.id, pad.drum);
    pad.play();
    say(`New ${pad.drum}: ${pad.trust.textContent}`);
  } catch (error) {
    fail(error, () => reroll(pad), `The ${pad.drum} was not made again`);
  } finally {
    pad.busy(false);
  }
}

const at = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const jobInAddress = () => new URLSearchParams(location.hash.slice(1)).get("job");

async function tryExample() {
  try {
    await open(new File([await api.example()], "example.flac", { type: "audio/flac" }));
  } catch (error) {
    fail(error, tryExample);
  }
}

const shaping = (list) => ({
  tail: list.filter((p) => Number.isFinite(p.tail)).map((p) => `${p.drum}:${p.tail}`).join(","),
  peak: list.map((p) => `${p.drum}:${p.level}`).join(","),
  pick: list.map((p) => `${p.drum}:${p.chosen + 1}`).join(","),
});

function hand(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// The server finishes the hit, so that the file is the same as in a kit.
async function saveOne(pad) {
  try {
    const { tail, peak } = shaping([pad]);
    const query = new URLSearchParams({ tail, peak, bits: $("bits").value });
    hand(await api.hit(now.job, pad.drum, pad.chosen + 1, query), `${pad.drum}.wav`);
  } catch (error) {
    fail(error, () => saveOne(pad));
  }
}

async function saveKit() {
  const format = $("format").value;
  try {
    const sounding = Object.values(pads).filter((p) => p.hits.length);
    const there = sounding.filter((p) => !p.absent);
    const { tail, peak, pick } = shaping(there.length ? there : sounding);
    const absent = there.length ? "drop" : "keep"; // better doubtful hits than none
    const name = now.file ? { name: now.file.name.replace(/\.[^.]*$/, "").slice(0, 200) } : {};
    const options = { format, tail, peak, absent, ...name, bits: $("bits").value, ...($("which").value === "chosen" ? { pick } : {}) };
    hand(await api.download(now.job, options), format === "wav" ? "kit.zip" : `kit-${format}.zip`);
    say("The kit is downloading.");
  } catch (error) {
    fail(error, saveKit);
  }
}

function restart() {
  now.job = now.file = null;
  history.pushState(null, "", location.pathname);
  sequencer.stop();
  wave?.pause();
  $("seq-play").textContent = "Start";
  for (const id of ["kit", "steps", "take", "song", "work", "error", "fingers"]) show(id, false);
  show("drop");
  $("file").value = "";
  $("file").focus();
}

function toggleSequencer() {
  if (sequencer.playing) sequencer.stop();
  else {
    wave?.pause();
    const first = pads.kick.hits[pads.kick.chosen]?.time ?? 0;
    const buffer = $("with-song").checked ? wave?.buffer : null;
    sequencer.original = buffer ? { buffer, offset: first, level: Number($("song-level").value) } : null;
    sequencer.start();
  }
  $("seq-play").textContent = sequencer.playing ? "Stop" : "Start";
  $("seq-play").setAttribute("aria-pressed", String(sequencer.playing));
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea")) return;
  if (event.key === " " && event.target === document.body && !$("song").hidden) {
    event.preventDefault();
    $("play").click();
  }
  const pad = Object.values(pads).find((p) => DRUMS[p.drum].key === event.key.toLowerCase());
  if (pad && !$("kit").hidden) pad.play();
}

$("file").addEventListener("change", (e) => { if (e.target.files[0]) open(e.target.files[0]); });
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.remove("over"); });
document.addEventListener("drop", (e) => { if (e.dataTransfer.files[0]) open(e.dataTransfer.files[0]); });
document.addEventListener("keydown", keys);
$("error-close").addEventListener("click", () => show("error", false));
$("cancel").addEventListener("click", () => (now.job ? api.cancel(now.job).catch(fail) : restart()));
$("again").addEventListener("click", restart);
$("undo").addEventListener("click", () => { now.rolled -= 1; history.back(); });
$("example").addEventListener("click", tryExample);
// Back and forward go through the kits of the re-rolls, and from a kit to the start.
window.addEventListener("popstate", () => {
  const id = jobInAddress();
  if (id && id !== now.job) reopen(id);
  else if (!id && now.job) restart();
});
$("seq-play").addEventListener("click", toggleSequencer);
$("seq-clear").addEventListener("click", () => sequencer.clear());
$("tempo").addEventListener("change", (e) => { sequencer.bpm = Math.min(240, Math.max(40, Number(e.target.value) || 120)); });
$("song-level").addEventListener("input", (e) => { if (sequencer.beside) sequencer.beside.gain.value = Number(e.target.value); });
$("download").addEventListener("click", saveKit);
$("key").addEventListener("change", (e) => { api.setKey(e.target.value); show("error", false); });
document.addEventListener("pointerdown", () => clock(), { once: true });

const NAMES = { wav: "WAV files", sfz: "SFZ", hydrogen: "Hydrogen", decentsampler: "DecentSampler", ableton: "Ableton Drum Rack", sf2: "SoundFont 2", mpc: "MPC program" };

async function greet() {
  try {
    const about = await api.state();
    $("service").textContent = about.ready ? "Ready" : about.problem;
    $("version").textContent = about.ready ? ` · models ${about.version}` : "";
    $("keep").textContent = about.keep_hours === 1 ? "after an hour" : `after ${about.keep_hours} hours`;
    $("service").classList.toggle("good", about.ready);
    $("limits").textContent = `up to ${Math.round(about.song_seconds / 60)} minutes and ${about.upload_mb} MB`;
    $("format").replaceChildren(...about.formats.map((f) => new Option(NAMES[f] || f, f)));
    for (const option of $("candidates").options) option.disabled = Number(option.value) > about.max_candidates;
    show("key-field", about.key_needed);
    if (!about.ready) setTimeout(greet, 1000);
  } catch (error) {
    $("service").textContent = error.message;
    setTimeout(greet, 3000);
  }
}

greet();
const kept = jobInAddress();
if (kept) reopen(kept);
