// All drum hits of the song below its waveform: one lane per class, and the typical bar behind them.

import { barSeconds, CLASSES } from "./groove.js";

const LANE = 11; // CSS pixels

export class HitLanes {
  constructor(canvas, legend) {
    this.canvas = canvas;
    this.legend = legend;
    this.groove = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // `seconds` is the length of the waveform above.
  show(groove, seconds) {
    this.groove = groove;
    this.seconds = seconds;
    const hits = groove?.hits ?? [];
    this.classes = Object.keys(CLASSES).filter((name) => hits.some((hit) => hit.drum === name));
    const counts = this.classes.map((name) => [name, hits.filter((hit) => hit.drum === name).length]);
    this.legend.replaceChildren(...counts.map(([name, count]) => {
      const item = document.createElement("li");
      item.style.setProperty("--drum", CLASSES[name].colour);
      item.textContent = `${CLASSES[name].title} × ${count}`;
      return item;
    }));
    this.canvas.hidden = this.legend.hidden = !counts.length || !seconds;
    this.canvas.style.height = `${LANE * counts.length}px`;
    const text = counts.map(([name, count]) => `${count} ${CLASSES[name].title.toLowerCase()}`).join(", ");
    this.canvas.setAttribute("aria-label", `Drum hits of the song, one lane per drum: ${text}`);
    this.draw();
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (this.canvas.hidden || !this.groove || !width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale); // also clears it
    this.canvas.height = Math.round(LANE * this.classes.length * scale);
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const x = (seconds) => (seconds / this.seconds) * width;
    if (this.groove.pattern) {
      context.fillStyle = "#8ab4ff33";
      context.fillRect(x(this.groove.pattern.start), 0, x(barSeconds(this.groove)), this.canvas.height);
    }
    for (const { drum, time, velocity } of this.groove.hits) {
      // Louder hits are taller; the quietest stay visible.
      const height = (LANE - 2) * (0.4 + (0.6 * velocity) / 127);
      context.fillStyle = CLASSES[drum].colour;
      context.fillRect(x(time), (this.classes.indexOf(drum) + 1) * LANE - 1 - height, 1.5, height);
    }
  }
}
