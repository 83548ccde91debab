// The song's waveform, with a mark at the position of each extracted hit.

import RegionsPlugin from "./vendor/wavesurfer/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer/wavesurfer.esm.js";

import { DRUMS } from "./pads.js";

const time = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

export class Wave {
  constructor(container, clock, playButton) {
    this.regions = RegionsPlugin.create();
    this.surfer = WaveSurfer.create({
      container,
      height: 112,
      waveColor: "#4a5672",
      progressColor: "#c3cde4",
      cursorColor: "#ffffff",
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      normalize: true,
      plugins: [this.regions],
    });
    const tick = () => {
      clock.value = `${time(this.surfer.getCurrentTime())} / ${time(this.surfer.getDuration())}`;
    };
    this.surfer.on("timeupdate", tick);
    this.surfer.on("ready", tick);
    const shown = (on) => {
      playButton.textContent = on ? "Pause" : "Play";
      playButton.setAttribute("aria-pressed", String(on));
    };
    this.surfer.on("play", () => shown(true));
    this.surfer.on("pause", () => shown(false));
    this.surfer.on("finish", () => shown(false));
    playButton.addEventListener("click", () => this.surfer.playPause());
    this.regions.on("region-clicked", (region, event) => {
      event.stopPropagation();
      this.surfer.setTime(Math.max(0, region.start - 0.05)); // just before the attack
      this.surfer.play();
    });
  }

  async load(file) {
    this.regions.clearRegions();
    await this.surfer.loadBlob(file);
  }

  get buffer() {
    return this.surfer.getDecodedData();
  }

  pause() {
    this.surfer.pause();
  }

  // hits: {drum: [seconds]}
  mark(hits) {
    this.regions.clearRegions();
    for (const [drum, times] of Object.entries(hits)) {
      for (const start of times) {
        this.regions.addRegion({ start, color: DRUMS[drum].colour, drag: false, resize: false });
      }
    }
  }
}
