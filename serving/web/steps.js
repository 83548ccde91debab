// The sequencer's panel: start and stop, tempo and swing, and the switch between the kit and the original.

import { barOf, barSeconds, describe } from "./groove.js";
import { Sequencer } from "./sequencer.js";
import { cut, decode, tempoOf } from "./sound.js";

const $ = (id) => document.getElementById(id);

export class StepsPanel {
  // `firstHit` gives the seconds at which the original starts where its bars are not known.
  constructor(pads, { started, firstHit }) {
    this.sequencer = new Sequencer($("grid"), pads);
    this.started = started;
    this.firstHit = firstHit;
    this.groove = undefined; // unknown; null is that of a kit without one
    this.song = null; // its file
    $("seq-play").addEventListener("click", () => (this.sequencer.playing ? this.stop() : this.start()));
    $("seq-clear").addEventListener("click", () => this.sequencer.clear());
    $("seq-reset").addEventListener("click", () => this.reset());
    $("tempo").addEventListener("change", (e) => this.setTempo(Math.min(240, Math.max(40, Number(e.target.value) || 120))));
    $("swing").addEventListener("input", (e) => this.setSwing(Number(e.target.value) / 100));
    for (const id of ["with-song", "song-level"]) $(id).addEventListener("input", () => this.mix());
    for (const radio of document.getElementsByName("listen")) radio.addEventListener("change", () => this.mix());
  }

  // A groove of another song replaces the steps; a re-roll, which has the same one, keeps the user's changes.
  showGroove(groove) {
    if (JSON.stringify(groove) === JSON.stringify(this.groove)) return;
    this.groove = groove;
    $("groove-facts").textContent = describe(groove);
    this.reset();
    this.prepareOriginal();
  }

  showSong(file) {
    this.song = file;
    this.prepareOriginal();
  }

  forget() {
    this.stop();
    this.groove = undefined;
    this.estimatedTempo = undefined;
    this.showSong(null);
    $("listen-kit").checked = true;
  }

  reset() {
    const bar = barOf(this.groove);
    this.sequencer.load(bar);
    this.setTempo(bar.tempo ?? this.estimatedTempo ?? 120);
    this.setSwing(bar.swing);
  }

  setTempo(bpm) {
    this.sequencer.bpm = bpm;
    $("tempo").value = Number(bpm.toFixed(2));
  }

  setSwing(swing) {
    this.sequencer.swing = swing;
    $("swing").value = Math.round(100 * swing);
    $("swing-out").value = `${Math.round(100 * swing)} %`;
  }

  // Once the song and its kit are known. The waveform's own samples are of 8 kHz, so the song is decoded anew;
  // of a whole song only the bar is kept.
  async prepareOriginal() {
    const { song, groove } = this;
    this.sequencer.original = null;
    $("listen").hidden = !groove?.pattern;
    $("listen-original").disabled = true;
    if (!song || groove === undefined) return;
    const buffer = await song.arrayBuffer().then(decode).catch(() => null); // a format that the browser lacks
    if (!buffer || song !== this.song || groove !== this.groove) return;
    if (!groove?.tempo) {
      this.estimatedTempo = tempoOf(buffer);
      this.setTempo(this.estimatedTempo);
    }
    if (groove?.pattern) {
      const seconds = barSeconds(groove);
      this.sequencer.original = { buffer: cut(buffer, groove.pattern.start, seconds), offset: 0, seconds };
    } else this.sequencer.original = { buffer, offset: this.firstHit(), seconds: null };
    $("listen-original").disabled = false;
    this.mix();
  }

  // A: the kit, with the original behind it where that is chosen; B: the original alone.
  mix() {
    const original = this.groove?.pattern && $("listen-original").checked;
    const behind = $("with-song").checked ? Number($("song-level").value) : 0;
    this.sequencer.mix(original ? { kit: 0, original: 1 } : { kit: 1, original: behind });
  }

  // From A to B or back, where the song's bar is known and can be played.
  toggleOriginal() {
    if ($("listen").hidden || $("listen-original").disabled) return;
    const to = $("listen-original").checked ? "listen-kit" : "listen-original";
    $(to).checked = true;
    this.mix();
  }

  start() {
    this.started();
    const { original } = this.sequencer;
    if (original?.seconds === null) original.offset = this.firstHit();
    this.sequencer.start();
    this.showState();
  }

  stop() {
    this.sequencer.stop();
    this.showState();
  }

  showState() {
    $("seq-play").textContent = this.sequencer.playing ? "Stop" : "Start";
    $("seq-play").setAttribute("aria-pressed", String(this.sequencer.playing));
  }
}
