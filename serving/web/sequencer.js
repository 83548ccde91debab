// One bar of steps per drum, scheduled ahead on the audio clock, beside the original's bar.

import { DEFAULT_BAR, swungBeats } from "./groove.js";
import { DRUMS } from "./pads.js";
import { audioContext, playOriginal } from "./sound.js";

const LOOKAHEAD = 0.12; // seconds of audio scheduled in advance; timers are late by less
const SWITCH = 0.005; // seconds: time constant of a change between kit and original, too short to hear, no click

export class Sequencer {
  constructor(grid, pads) {
    this.grid = grid;
    this.pads = pads;
    this.bpm = 120;
    this.swing = 0;
    this.original = null; // {buffer, offset, seconds}; plays on from `offset` where `seconds` is null
    this.levels = { kit: 1, original: 0 };
    this.load(DEFAULT_BAR);
  }

  get steps() {
    return this.bar.stepsPerBeat * this.bar.beatsPerBar;
  }

  // Shows and plays a bar as `groove.js` gives it.
  load(bar) {
    this.bar = bar;
    this.swing = bar.swing;
    this.step = 0; // of a bar that plays: the new one begins
    this.cells = {};
    this.grid.style.setProperty("--steps", this.steps);
    this.grid.style.setProperty("--phone-steps", this.steps % 8 ? bar.stepsPerBeat : 8);
    this.grid.setAttribute("aria-label", `Step sequencer, ${this.steps} steps`);
    this.grid.replaceChildren(document.createElement("span"), ...Array.from({ length: this.steps }, (_, step) => {
      const beat = document.createElement("span");
      beat.className = "beat";
      beat.textContent = step % bar.stepsPerBeat ? "" : `${step / bar.stepsPerBeat + 1}`;
      beat.setAttribute("aria-hidden", "true");
      return beat;
    }));
    for (const [row, drum] of Object.keys(DRUMS).entries()) {
      const name = document.createElement("span");
      name.className = "grid-name";
      name.textContent = DRUMS[drum].title;
      this.grid.append(name);
      this.cells[drum] = bar.rows[drum].map((hit, step) => this.cell(drum, row, step, hit));
    }
  }

  cell(drum, row, step, hit) {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.className = Math.floor(step / this.bar.stepsPerBeat) % 2 ? "step even-beat" : "step";
    cell.style.setProperty("--drum", DRUMS[drum].colour);
    cell.tabIndex = row === 0 && step === 0 ? 0 : -1;
    const loudest = Math.max(...this.bar.rows[drum].map((other) => other.velocity)) || 127;
    const set = ({ velocity, open }) => {
      cell.velocity = velocity;
      cell.classList.toggle("open", velocity > 0 && open);
      cell.style.setProperty("--velocity", velocity / 127);
      cell.setAttribute("aria-pressed", String(velocity > 0));
      const facts = velocity ? `, ${open ? "open, " : ""}velocity ${velocity}` : "";
      cell.setAttribute("aria-label", `${DRUMS[drum].title}, step ${step + 1}${facts}`);
    };
    set(hit);
    // A step that is switched on again has its velocity of before, a new one the loudest of its row.
    const on = hit.velocity ? hit : { velocity: loudest, open: false };
    cell.addEventListener("click", () => set(cell.velocity ? { velocity: 0, open: false } : on));
    cell.addEventListener("keydown", (e) => this.move(e, drum, step));
    cell.clear = () => set({ velocity: 0, open: false });
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
    const next = this.cells[drums[(to[0] + drums.length) % drums.length]][(to[1] + this.steps) % this.steps];
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  clear() {
    for (const cell of Object.values(this.cells).flat()) cell.clear();
  }

  get playing() {
    return this.timer !== undefined;
  }

  start() {
    const audio = audioContext();
    this.buses = Object.fromEntries(Object.entries(this.levels).map(([name, gain]) => [name, new GainNode(audio, { gain })]));
    for (const bus of Object.values(this.buses)) bus.connect(audio.destination);
    this.step = 0;
    this.next = audio.currentTime + 0.08;
    this.playedOn = false; // whether an original without a bar's length has been started
    this.timer = setInterval(() => this.schedule(audio), 25);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.playback?.stop();
    this.playback = undefined;
    for (const bus of Object.values(this.buses ?? {})) bus.disconnect(); // also what is scheduled ahead
    this.buses = undefined;
    for (const cell of this.grid.querySelectorAll(".now")) cell.classList.remove("now");
  }

  // Gains of the kit and of the original; they may change while the bar plays.
  mix(levels) {
    this.levels = levels;
    for (const [name, bus] of Object.entries(this.buses ?? {})) {
      bus.gain.setTargetAtTime(levels[name], audioContext().currentTime, SWITCH);
    }
  }

  schedule(audio) {
    while (this.next < audio.currentTime + LOOKAHEAD) {
      if (this.step === 0) this.startOriginal();
      for (const [drum, cells] of Object.entries(this.cells)) {
        const { velocity } = cells[this.step];
        if (velocity) this.pads[drum]?.play(this.next, { velocity, destination: this.buses.kit });
      }
      const shown = this.step;
      setTimeout(() => this.highlight(shown), 1000 * Math.max(0, this.next - audio.currentTime));
      this.next += this.secondsBetween(this.step, this.step + 1);
      this.step = (this.step + 1) % this.steps;
    }
  }

  secondsBetween(from, to) {
    const grid = { ...this.bar, swing: this.swing };
    return ((swungBeats(to, grid) - swungBeats(from, grid)) * 60) / this.bpm;
  }

  // The original's bar begins anew with each bar of the steps and ends with it.
  startOriginal() {
    if (!this.original || this.playedOn) return;
    const { buffer, offset, seconds } = this.original;
    this.playedOn = seconds === null;
    const length = this.playedOn ? Infinity : Math.min(seconds, this.secondsBetween(0, this.steps));
    this.playback = playOriginal(buffer, { offset, length, when: this.next, destination: this.buses.original });
  }

  highlight(step) {
    if (!this.playing) return;
    for (const cells of Object.values(this.cells)) {
      cells.forEach((cell, i) => cell.classList.toggle("now", i === step));
    }
  }
}
