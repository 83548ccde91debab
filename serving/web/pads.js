// One card per drum: the pad, its candidates, tail and level, re-roll and download.

import { decodeHit, playHit } from "./sound.js";

export const DRUMS = {
  kick: { title: "Kick", key: "a", colour: "#ff8466" },
  snare: { title: "Snare", key: "s", colour: "#ffcf5c" },
  hihat: { title: "Hi-hat", key: "d", colour: "#56d3f5" },
};

const make = (tag, facts = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), facts);
  node.append(...children);
  return node;
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
    this.trust = make("p", { className: "trust" });
    this.list = make("div", { className: "candidates" });
    this.list.setAttribute("role", "radiogroup");
    this.list.setAttribute("aria-label", `${title} candidates`);
    this.tailOut = make("output");
    this.levelOut = make("output");
    this.tailIn = make("input", { type: "range", min: 0.03, max: 1, step: 0.01, value: 1 });
    this.levelIn = make("input", { type: "range", min: -24, max: 0, step: 0.5, value: -1 });
    this.roll = make("button", { className: "button", type: "button", textContent: "Re-roll" });
    this.roll.setAttribute("aria-label", `Re-roll the ${title.toLowerCase()}`);
    this.save = make("button", { className: "button ghost", type: "button", textContent: "WAV" });
    this.save.setAttribute("aria-label", `Download the ${title.toLowerCase()} as WAV`);
    this.card = make("article", { className: "card" }, this.button, this.trust, this.list,
      make("label", {}, "Tail", this.tailIn, this.tailOut),
      make("label", {}, "Level", this.levelIn, this.levelOut),
      make("div", { className: "row" }, this.roll, this.save));
    this.card.style.setProperty("--drum", colour);
    // On a phone, three of these stay under the thumbs while the page scrolls.
    this.finger = make("button", { type: "button", className: "finger", textContent: title, tabIndex: -1 });
    this.finger.style.setProperty("--drum", colour);
    this.finger.addEventListener("pointerdown", (e) => { e.preventDefault(); this.play(); });
    this.card.dataset.drum = drum;
    this.button.addEventListener("pointerdown", (e) => { e.preventDefault(); this.button.focus(); this.play(); });
    this.button.addEventListener("click", (e) => { if (e.detail === 0) this.play(); }); // keyboard and screen readers
    this.tailIn.addEventListener("input", () => this.shape());
    this.levelIn.addEventListener("input", () => this.shape());
    this.roll.addEventListener("click", () => on.roll(this));
    this.save.addEventListener("click", () => on.save(this));
    this.shape();
  }

  async show(hits) {
    if (hits.length === this.hits.length && hits.length && hits.every((hit, i) => hit.audio === this.hits[i].audio)) return;
    this.hits = await Promise.all(hits.map(async (hit) => ({ ...hit, buffer: await decodeHit(hit.audio) })));
    this.chosen = 0;
    this.list.replaceChildren(...this.hits.map((hit, i) => this.candidate(hit, i)));
    const there = this.hits.length > 0;
    for (const control of [this.button, this.finger, this.tailIn, this.levelIn, this.save]) control.disabled = !there;
    this.card.classList.toggle("absent", this.absent);
    this.choose(0, false);
  }

  candidate(hit, i) {
    const percent = Math.round(100 * hit.confidence);
    const chip = make("button", { type: "button", className: "chip" }, `${i + 1}`, make("small", { textContent: `${percent} %` }));
    chip.setAttribute("role", "radio");
    chip.title = `heard at ${hit.time.toFixed(2)} s, seed ${hit.seed}`;
    chip.setAttribute("aria-label", `Candidate ${i + 1}, confidence ${percent} percent`);
    chip.style.setProperty("--part", hit.confidence);
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

  choose(i, aloud = true) {
    this.chosen = i;
    [...this.list.children].forEach((chip, j) => {
      chip.setAttribute("aria-checked", String(i === j));
      chip.tabIndex = i === j ? 0 : -1;
    });
    const hit = this.hits[i];
    if (!hit) this.trust.textContent = "Nothing was heard of this drum. Re-roll tries again.";
    else if (!hit.detected) this.trust.textContent = "Probably not in this song; left out of the kit.";
    else this.trust.textContent = `${hit.confidence < 0.35 ? "Only " : ""}${Math.round(100 * hit.confidence)} % sure`;
    this.draw();
    if (aloud && hit) this.play();
    this.on.chosen(this);
  }

  play(when = 0) {
    const hit = this.hits[this.chosen];
    if (!hit) return;
    const start = playHit(hit.buffer, { tail: this.tail, level: this.level, when });
    if (when === 0) this.flash();
    document.body.dataset.played = `${this.drum}@${start.toFixed(3)}`;
  }

  get absent() {
    return !this.hits[0]?.detected;
  }

  flash() {
    for (const button of [this.button, this.finger]) {
      button.classList.remove("hit");
      void button.offsetWidth; // restarts the animation
      button.classList.add("hit");
    }
  }

  shape() {
    this.tail = Number(this.tailIn.value) >= 1 ? Infinity : Number(this.tailIn.value);
    this.level = Number(this.levelIn.value);
    this.tailOut.value = Number.isFinite(this.tail) ? `${Math.round(1000 * this.tail)} ms` : "full";
    this.levelOut.value = `${this.level} dB`;
    this.tailIn.setAttribute("aria-valuetext", this.tailOut.value);
    this.levelIn.setAttribute("aria-valuetext", `${this.level} decibels`);
    this.draw();
  }

  draw() {
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    pen.clearRect(0, 0, width, height);
    const buffer = this.hits[this.chosen]?.buffer;
    if (!buffer) return;
    const samples = buffer.getChannelData(0);
    const shown = Math.min(buffer.duration, 1);
    const gain = 10 ** (this.level / 20);
    pen.fillStyle = DRUMS[this.drum].colour;
    for (let x = 0; x < width; x += 3) {
      const from = Math.floor((x / width) * shown * buffer.sampleRate);
      const to = Math.floor(((x + 3) / width) * shown * buffer.sampleRate);
      let top = 0;
      for (let i = from; i < to; i++) top = Math.max(top, Math.abs(samples[i]));
      pen.globalAlpha = from / buffer.sampleRate > this.tail ? 0.15 : 0.9;
      const tall = Math.max(1, top * gain * height * 0.92);
      pen.fillRect(x, (height - tall) / 2, 2, tall);
    }
  }

  busy(on) {
    this.roll.disabled = on;
    this.roll.textContent = on ? "Rolling …" : "Re-roll";
    this.card.setAttribute("aria-busy", String(on));
  }
}
