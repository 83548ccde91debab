// Sixteen steps per drum, scheduled ahead on the audio clock, optionally with the original.

import { DRUMS } from "./pads.js";
import { audioContext, playOriginal } from "./sound.js";

const STEPS = 16;
const LOOKAHEAD = 0.12; // seconds of audio scheduled in advance; timers are late by less
const DEFAULT_PATTERN = { kick: [0, 4, 8, 12], snare: [4, 12], hihat: [0, 2, 4, 6, 8, 10, 12, 14] };

export class Sequencer {
  constructor(grid, pads) {
    this.grid = grid;
    this.pads = pads;
    this.bpm = 120;
    this.original = null; // {buffer, offset, level} or null
    this.cells = {};
    grid.append(document.createElement("span"), ...Array.from({ length: STEPS }, (_, step) => {
      const beat = document.createElement("span");
      beat.className = "beat";
      beat.textContent = step % 4 ? "" : `${step / 4 + 1}`;
      beat.setAttribute("aria-hidden", "true");
      return beat;
    }));
    for (const [row, drum] of Object.keys(DRUMS).entries()) {
      const name = document.createElement("span");
      name.className = "grid-name";
      name.textContent = DRUMS[drum].title;
      grid.append(name);
      this.cells[drum] = Array.from({ length: STEPS }, (_, step) => this.cell(drum, row, step));
    }
  }

  cell(drum, row, step) {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.className = "step";
    cell.style.setProperty("--drum", DRUMS[drum].colour);
    cell.setAttribute("aria-label", `${DRUMS[drum].title}, step ${step + 1}`);
    cell.setAttribute("aria-pressed", String(DEFAULT_PATTERN[drum].includes(step)));
    cell.tabIndex = row === 0 && step === 0 ? 0 : -1;
    cell.addEventListener("click", () => cell.setAttribute("aria-pressed", String(cell.ariaPressed !== "true")));
    cell.addEventListener("keydown", (e) => this.move(e, drum, step));
    this.grid.append(cell);
    return cell;
  }

  // One tab stop for the whole grid, arrows inside it.
  move(event, drum, step) {
    const drums = Object.keys(DRUMS);
    const row = drums.indexOf(drum);
    const to = { ArrowRight: [row, step + 1], ArrowLeft: [row, step - 1], ArrowUp: [row - 1, step], ArrowDown: [row + 1, step] }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = this.cells[drums[(to[0] + drums.length) % drums.length]][(to[1] + STEPS) % STEPS];
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  clear() {
    for (const cell of Object.values(this.cells).flat()) cell.setAttribute("aria-pressed", "false");
  }

  get playing() {
    return this.timer !== undefined;
  }

  start() {
    const audio = audioContext();
    this.step = 0;
    this.next = audio.currentTime + 0.08;
    if (this.original) {
      const { buffer, offset, level } = this.original;
      this.playback = playOriginal(buffer, offset, level, this.next);
    }
    this.timer = setInterval(() => this.schedule(audio), 25);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.playback?.stop();
    this.playback = undefined;
    for (const cell of this.grid.querySelectorAll(".now")) cell.classList.remove("now");
  }

  schedule(audio) {
    while (this.next < audio.currentTime + LOOKAHEAD) {
      for (const [drum, cells] of Object.entries(this.cells)) {
        if (cells[this.step].ariaPressed === "true") this.pads[drum]?.play(this.next);
      }
      const shown = this.step;
      setTimeout(() => this.highlight(shown), 1000 * Math.max(0, this.next - audio.currentTime));
      this.next += 60 / this.bpm / 4;
      this.step = (this.step + 1) % STEPS;
    }
  }

  highlight(step) {
    if (!this.playing) return;
    for (const cells of Object.values(this.cells)) {
      cells.forEach((cell, i) => cell.classList.toggle("now", i === step));
    }
  }
}
