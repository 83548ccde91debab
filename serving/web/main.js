// The page: one song, one job at a time, and the kit that it produced.

import * as api from "./api.js";
import { downloads } from "./download.js";
import { dragsOut } from "./drag.js";
import { HitLanes } from "./lanes.js";
import { DRUMS, Pad } from "./pads.js";
import { Recent } from "./recent.js";
import { models, showState } from "./service.js";
import { audioContext } from "./sound.js";
import { StepsPanel } from "./steps.js";
import { Wave } from "./wave.js";

const $ = (id) => document.getElementById(id);
const STAGES = { queued: "Waiting in the queue", waiting: "Starting", listen: "Detecting the drums", kick: "Generating the kick", snare: "Generating the snare", hihat: "Generating the hi-hat", done: "Done" };
// jobsOfSong: the jobs on the song whose waveform is shown.
const current = { job: null, file: null, rerolls: 0, jobsOfSong: new Set(), groove: null };
let wave;

const show = (id, on = true) => { $(id).hidden = !on; };
const announce = (text) => { $("announcement").textContent = text; };

function fail(error, retry, title) {
  if (error.name === "AbortError") return;
  if (error.status === 401) { show("key-field"); $("key").focus(); }
  $("error-what").textContent = title || "That did not work";
  $("error-text").textContent = error.message;
  $("error-retry").hidden = !retry;
  $("error-retry").onclick = () => { show("error", false); retry(); };
  show("error");
  show("work", false);
}

const pads = Object.fromEntries(Object.keys(DRUMS).map((drum) => [drum, new Pad(drum, { reroll, save: (pad) => save.hit(pad), file: (pad) => save.hitFile(pad), chosen: mark })]));
$("pads").append(...Object.values(pads).map((pad) => pad.card));
$("touch-pads").append(...Object.values(pads).map((pad) => pad.touchPad));
const save = downloads({ current, pads, fail, announce });
const steps = new StepsPanel(pads, { started: () => wave?.pause(), firstHit: () => pads.kick.hits[pads.kick.chosen]?.time ?? 0 });
const recent = new Recent($("recent"), $("recent-list"));
const lanes = new HitLanes($("lanes"), $("lanes-legend"));

function progress(job) {
  const percent = Math.round(100 * job.progress);
  $("bar").setAttribute("aria-valuenow", percent);
  $("bar").firstElementChild.style.width = `${Math.max(3, percent)}%`;
  $("percent").value = `${percent} %`;
  const ahead = job.state === "queued" && job.position ? `, ${job.position} before you` : "";
  const text = `${STAGES[job.stage] || job.stage}${ahead}`;
  if ($("work-text").textContent !== text) $("work-text").textContent = text;
}

// The first file is shown; the others become jobs whose kits wait among the recent ones.
async function openAll(files) {
  const [first, ...others] = files;
  if (!first) return;
  const opened = open(first);
  if (others.length) announce(`Sending ${files.length} files`);
  for (const file of others) {
    try {
      recent.add((await api.submit(file, $("candidates").value)).id, file.name);
    } catch (error) {
      const working = !$("work").hidden; // on the first file
      fail(error, null, `${file.name} was not taken`);
      show("work", working);
    }
  }
  await opened;
}

// Nothing of the song before is left on the page.
function expect(name) {
  current.rerolls = 0;
  show("error", false);
  for (const id of ["kit", "steps", "export", "song", "again", "undo", "touch-pads"]) show(id, false);
  forgetGroove();
  $("work-title").textContent = `Working on ${name}`;
  progress({ progress: 0, stage: "queued", state: "queued", position: 0 });
  show("work");
  show("drop", false);
}

async function open(file) {
  current.file = file;
  expect(file.name);
  announce(`Sending ${file.name}`);
  try {
    const job = await api.submit(file, $("candidates").value);
    current.job = job.id;
    current.jobsOfSong = new Set([job.id]);
    location.hash = `job=${job.id}`;
    recent.add(job.id, file.name);
    showSong(file);
    await awaitJob(job.id);
  } catch (error) {
    show("drop");
    fail(error, [400, 413].includes(error.status) ? null : () => open(file), `${file.name} was not taken`);
  }
}

async function showSong(file) {
  $("song-title").textContent = file.name;
  show("song");
  wave ??= new Wave($("wave"), $("clock"), $("play"));
  try {
    await wave.load(file);
    steps.showSong(file);
    mark();
  } catch {
    announce("This browser cannot show the waveform of this format; the extraction goes on.");
  }
}

// After a reload, or a step back, the song comes from the service.
async function reopen(id) {
  current.job = id;
  const name = recent.name(id);
  if (!current.jobsOfSong.has(id)) {
    current.file = name ? new File([], name) : null;
    expect(name ?? "your song");
  }
  for (const part of ["drop", "error"]) show(part, false);
  try {
    await awaitJob(id);
    if (current.job !== id) return; // another kit was opened meanwhile
    if (!current.jobsOfSong.has(id) || $("song").hidden) {
      current.jobsOfSong = new Set([id]);
      await showSong(new File([await api.song(id)], name ?? "Your song"));
    }
  } catch (error) {
    restart();
    fail(error);
  }
}

async function awaitJob(id) {
  current.job = id;
  const job = await api.follow(id, (j) => { if (current.job === id) progress(j); });
  if (current.job !== id) return;
  show("work", false);
  if (job.state === "cancelled") { show("drop"); show("song", false); return announce("Cancelled."); }
  if (job.state === "failed") {
    show("drop");
    show("song", false);
    const again = async () => { show("drop", false); show("work"); await api.retry(id); awaitJob(id).catch(fail); };
    return fail(new Error(job.error), again, `${current.file?.name || "The song"} gave no kit`);
  }
  for (const pad of Object.values(pads)) pad.seed = Math.max(pad.seed, job.seed);
  await showKit(id);
  announce("Your kit is ready.");
  $("kit").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

async function showKit(id, only) {
  const kit = await api.kit(id);
  for (const [drum, hits] of Object.entries(kit.drums)) {
    if (!only || only === drum) await pads[drum].show(hits);
  }
  current.groove = kit.groove;
  steps.showGroove(kit.groove);
  showResynthesis(kit.resynthesis_score);
  $("kit-models").textContent = models(kit.version);
  show("midi-played", kit.groove?.hits.length > 0);
  show("midi-quantised", Boolean(kit.groove?.pattern));
  for (const part of ["kit", "steps", "export", "again", "touch-pads"]) show(part);
  show("undo", current.rerolls > 0);
  mark();
}

function mark() {
  const times = (pad) => (!pad.detected ? [] : [...new Set(pad.hits.map((h) => h.time))].sort((a, b) => a - b));
  const hits = Object.fromEntries(Object.entries(pads).map(([drum, pad]) => [drum, times(pad)]));
  if (wave?.buffer) wave.mark(hits);
  lanes.show(current.groove, wave?.buffer?.duration);
  $("legend").replaceChildren(...Object.entries(hits).filter(([, times]) => times.length).map(([drum, times]) => {
    const item = document.createElement("li");
    item.style.setProperty("--drum", DRUMS[drum].colour);
    item.textContent = `${DRUMS[drum].title} at ${times.map(at).join(", ")}`;
    return item;
  }));
}

async function reroll(pad) {
  pad.busy(true);
  announce(`Generating another ${pad.drum}`);
  try {
    pad.seed += 1;
    const job = await api.reroll(current.job, pad.drum, $("candidates").value, pad.seed);
    const done = await api.follow(job.id, () => {});
    if (done.state !== "done") throw new Error(done.error || "The re-roll was stopped.");
    recent.replace(current.job, job.id);
    current.job = job.id;
    current.jobsOfSong.add(job.id);
    current.rerolls += 1;
    location.hash = `job=${job.id}`;
    await showKit(job.id, pad.drum);
    pad.play();
    announce(`New ${pad.drum}: ${pad.confidence.textContent}`);
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

function forgetGroove() {
  current.groove = null;
  steps.forget();
  lanes.show(null);
}

function restart() {
  current.job = current.file = null;
  history.pushState(null, "", location.pathname);
  forgetGroove();
  wave?.pause();
  for (const id of ["kit", "steps", "export", "song", "work", "error", "touch-pads"]) show(id, false);
  show("drop");
  $("file").value = "";
  $("file").focus();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input:not([type=range], [type=checkbox], [type=radio]), select, textarea")) return;
  if (event.key === " " && event.target === document.body && !$("song").hidden) {
    event.preventDefault();
    $("play").click();
  }
  const pad = Object.values(pads).find((p) => DRUMS[p.drum].key === event.key.toLowerCase());
  if (pad && !$("kit").hidden) pad.play();
  if (event.key.toLowerCase() === "b" && !$("steps").hidden) steps.toggleOriginal();
}

$("file").addEventListener("change", (e) => openAll([...e.target.files]));
document.addEventListener("paste", (e) => openAll([...e.clipboardData.files]));
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.remove("over"); });
document.addEventListener("drop", (e) => openAll([...e.dataTransfer.files]));
document.addEventListener("keydown", keys);
$("error-close").addEventListener("click", () => show("error", false));
$("cancel").addEventListener("click", () => (current.job ? api.cancel(current.job).catch(fail) : restart()));
$("again").addEventListener("click", restart);
$("undo").addEventListener("click", () => { current.rerolls -= 1; history.back(); });
$("example").addEventListener("click", tryExample);
// Back and forward go through the kits of the re-rolls, and from a kit to the start.
window.addEventListener("popstate", () => {
  const id = jobInAddress();
  if (id && id !== current.job) reopen(id);
  else if (!id && current.job) restart();
});
$("download").addEventListener("click", save.kit);
for (const timing of ["played", "quantised"]) {
  $(`midi-${timing}`).addEventListener("click", () => save.midi(timing));
  dragsOut($(`midi-${timing}`), () => save.midiFile(timing));
}
$("key").addEventListener("change", (e) => { api.setKey(e.target.value); show("error", false); });
document.addEventListener("pointerdown", () => audioContext(), { once: true });

showState();
recent.follow();
const opened = jobInAddress();
if (opened) reopen(opened);

// The check without a reference: null for kits that were stored without it.
function showResynthesis(score) {
  show("resynthesis", score !== null && score !== undefined);
  $("resynthesis").textContent = `Resynthesis score ${(score ?? 0).toFixed(2)}: playing the groove, this kit explains ${Math.round(100 * (score ?? 0))} % of the song's drum onsets.`;
}
