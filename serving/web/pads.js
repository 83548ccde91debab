// One card per drum: the pad, its candidates, tail and level, re-roll and download.

import { make } from "./dom.js";
import { dragsOut } from "./drag.js";
import { decodeHit, playHit } from "./sound.js";

export const DRUMS = {
  kick: { title: "Kick", key: "a", colour: "#ff8466" },
  snare: { title: "Snare", key: "s", colour: "#ffcf5c" },
  hihat: { title: "Hi-hat", key: "d", colour: "#56d3f5" },
};

export class Pad {
  constructor(drum, on) {
    this.drum = drum;
    this.on = on;
    this.hits = [];
    this.chosen = 0;
    this.seed = 0;
    this.tail = 1;
    this.level = -1;
    const { title, key, colour } = DRUMS[drum];
    this.canvas = make("canvas", { width: 480, height: 120 });
    this.canvas.setAttribute("aria-hidden", "true");
    this.button = make("button", { className: "pad", type: "button" }, this.canvas, make("span", { textContent: title }), make("kbd", { textContent: key.toUpperCase() }));
    this.button.setAttribute("aria-keyshortcuts", key.toUpperCase());
    this.confidence = make("p", { className: "confidence" });
    this.source = make("p", { className: "source quiet", title: "Source energy ratio: the share of the one-shot's energy that was taken from the song by masking" });
    this.list = make("div", { className: "candidates" });
    this.list.setAttribute("role", "radiogroup");
    this.list.setAttribute("aria-label", `${title} candidates`);
    this.tailOut = make("output");
    this.levelOut = make("output");
    this.tailIn = make("input", { type: "range", min: 0.03, max: 1, step: 0.01, value: 1 });
    this.levelIn = make("input", { type: "range", min: -24, max: 0, step: 0.5, value: -1 });
    this.reroll = make("button", { className: "button", type: "button", textContent: "Re-roll" });
    this.reroll.setAttribute("aria-label", `Re-roll the ${title.toLowerCase()}`);
    this.save = make("button", { className: "button ghost", type: "button", textContent: "WAV" });
    this.save.setAttribute("aria-label", `Download the ${title.toLowerCase()} as WAV`);
    this.save.title = "Click to download, or drag into a DAW or a folder";
    dragsOut(this.save, () => on.file(this));
    this.card = make("article", { className: "card" }, this.button, this.confidence, this.source, this.list,
      make("label", {}, "Tail", this.tailIn, this.tailOut),
      make("label", {}, "Level", this.levelIn, this.levelOut),
      make("div", { className: "row" }, this.reroll, this.save));
    this.card.style.setProperty("--drum", colour);
    // On a phone, these three stay at the bottom of the screen while the page scrolls.
    this.touchPad = make("button", { type: "button", className: "touch-pad", textContent: title, tabIndex: -1 });
    this.touchPad.style.setProperty("--drum", colour);
    this.touchPad.addEventListener("pointerdown", (e) => { e.preventDefault(); this.play(); });
    this.card.dataset.drum = drum;
    this.button.addEventListener("pointerdown", (e) => { e.preventDefault(); this.button.focus(); this.play(); });
    this.button.addEventListener("click", (e) => { if (e.detail === 0) this.play(); }); // keyboard and screen readers
    this.tailIn.addEventListener("input", () => this.updateRendering());
    this.levelIn.addEventListener("input", () => this.updateRendering());
    this.reroll.addEventListener("click", () => on.reroll(this));
    this.save.addEventListener("click", () => on.save(this));
    this.updateRendering();
  }

  async show(hits) {
    if (hits.length === this.hits.length && hits.length && hits.every((hit, i) => hit.audio === this.hits[i].audio)) return;
    this.hits = await Promise.all(hits.map(async (hit) => ({ ...hit, buffer: await decodeHit(hit.audio) })));
    this.chosen = 0;
    this.list.replaceChildren(...this.hits.map((hit, i) => this.candidate(hit, i)));
    const hasHits = this.hits.length > 0;
    for (const control of [this.button, this.touchPad, this.tailIn, this.levelIn, this.save]) control.disabled = !hasHits;
    this.card.classList.toggle("undetected", !this.detected);
    this.choose(0, false);
  }

  candidate(hit, i) {
    const percent = Math.round(100 * hit.confidence);
    const chip = make("button", { type: "button", className: "chip" }, `${i + 1}`, make("small", { textContent: `${percent} %` }));
    chip.setAttribute("role", "radio");
    chip.title = `from ${hit.time.toFixed(2)} s, seed ${hit.seed}`;
    chip.setAttribute("aria-label", `Candidate ${i + 1}, confidence ${percent} percent`);
    chip.style.setProperty("--confidence", hit.confidence);
    chip.addEventListener("click", () => this.choose(i));
    chip.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (!step) return;
      e.preventDefault();
      this.choose((i + step + this.hits.length) % this.hits.length);
      this.list.children[this.chosen].focus();
    });
    return chip;
  }

  choose(i, audible = true) {
    this.chosen = i;
    [...this.list.children].forEach((chip, j) => {
      chip.setAttribute("aria-checked", String(i === j));
      chip.tabIndex = i === j ? 0 : -1;
    });
    const hit = this.hits[i];
    if (!hit) this.confidence.textContent = "This drum was not found. Re-roll tries again.";
    else if (!hit.detected) this.confidence.textContent = "Probably not in this song; left out of the kit.";
    else this.confidence.textContent = `${hit.confidence < 0.35 ? "Only " : ""}${Math.round(100 * hit.confidence)} % confidence`;
    const own = Math.round(100 * (hit?.source_energy_ratio ?? 0));
    this.source.textContent = hit ? `Source energy ${own} %, generated ${100 - own} %` : "";
    this.draw();
    if (audible && hit) this.play();
    this.on.chosen(this);
  }

  // At once, or at `when` on the audio clock; `how` may have a velocity and a destination.
  play(when = 0, how = {}) {
    const hit = this.hits[this.chosen];
    if (!hit) return;
    const start = playHit(hit.buffer, { tail: this.tail, level: this.level, when, ...how });
    if (when === 0) this.flash();
    document.body.dataset.played = `${this.drum}@${start.toFixed(3)}`;
  }

  get detected() {
    return Boolean(this.hits[0]?.detected);
  }

  flash() {
    for (const button of [this.button, this.touchPad]) {
      button.classList.remove("hit");
      void button.offsetWidth; // restarts the animation
      button.classList.add("hit");
    }
  }

  updateRendering() {
    this.tail = Number(this.tailIn.value) >= 1 ? Infinity : Number(this.tailIn.value);
    this.level = Number(this.levelIn.value);
    this.tailOut.value = Number.isFinite(this.tail) ? `${Math.round(1000 * this.tail)} ms` : "full";
    this.levelOut.value = `${this.level} dB`;
    this.tailIn.setAttribute("aria-valuetext", this.tailOut.value);
    this.levelIn.setAttribute("aria-valuetext", `${this.level} decibels`);
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    context.clearRect(0, 0, width, height);
    const buffer = this.hits[this.chosen]?.buffer;
    if (!buffer) return;
    const samples = buffer.getChannelData(0);
    const shown = Math.min(buffer.duration, 1);
    const gain = 10 ** (this.level / 20);
    context.fillStyle = DRUMS[this.drum].colour;
    for (let x = 0; x < width; x += 3) {
      const from = Math.floor((x / width) * shown * buffer.sampleRate);
      const to = Math.floor(((x + 3) / width) * shown * buffer.sampleRate);
      let peak = 0;
      for (let i = from; i < to; i++) peak = Math.max(peak, Math.abs(samples[i]));
      context.globalAlpha = from / buffer.sampleRate > this.tail ? 0.15 : 0.9;
      const barHeight = Math.max(1, peak * gain * height * 0.92);
      context.fillRect(x, (height - barHeight) / 2, 2, barHeight);
    }
  }

  busy(on) {
    this.reroll.disabled = on;
    this.reroll.textContent = on ? "Rolling …" : "Re-roll";
    this.card.setAttribute("aria-busy", String(on));
  }
}
