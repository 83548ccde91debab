// Downloads: the options that the service renders a kit with, and saving what it returns.

import * as api from "./api.js";

export const FORMAT_NAMES = { wav: "WAV files", sfz: "SFZ", hydrogen: "Hydrogen", decentsampler: "DecentSampler", ableton: "Ableton Drum Rack", sf2: "SoundFont 2", mpc: "MPC program" };

// Tail, level and chosen candidate of each pad, as options of the API.
export const padOptions = (pads) => ({
  tail: pads.filter((p) => Number.isFinite(p.tail)).map((p) => `${p.drum}:${p.tail}`).join(","),
  peak: pads.map((p) => `${p.drum}:${p.level}`).join(","),
  pick: pads.map((p) => `${p.drum}:${p.chosen + 1}`).join(","),
});

// Options of a whole kit. Undetected drums are left out, unless there are no others.
export function kitOptions(pads, { format, bits, chosenOnly, name }) {
  const withHits = pads.filter((p) => p.hits.length);
  const detected = withHits.filter((p) => p.detected);
  const { tail, peak, pick } = padOptions(detected.length ? detected : withHits);
  const options = { format, tail, peak, undetected: detected.length ? "drop" : "keep", bits };
  if (name) options.name = name.slice(0, 200); // the API's longest name
  if (chosenOnly) options.pick = pick;
  return options;
}

export function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read the URL after the click
}

// Saving a hit, the kit or the song's hits; `current` is the job and the file of the page.
export function downloads({ current, pads, fail, announce }) {
  const $ = (id) => document.getElementById(id);
  const attempt = (task) => task().catch((error) => fail(error, () => attempt(task)));
  const stem = () => current.file?.name.replace(/\.[^.]*$/, "");
  const hitQuery = (pad) => {
    const { tail, peak } = padOptions([pad]);
    return new URLSearchParams({ tail, peak, bits: $("bits").value });
  };
  const hitName = (pad) => [stem(), `${pad.drum}.wav`].filter(Boolean).join(" ");
  const midiName = (timing) => (timing === "played" ? `${stem() ?? "groove"}.mid` : `${stem() ?? "groove"}-${timing}.mid`);
  return {
    // What is dragged out: the addresses of the same files. A keyed service would refuse them.
    hitFile: (pad) => (api.hasKey() || !pad.hits.length ? null : { path: api.hitPath(current.job, pad.drum, pad.chosen + 1, hitQuery(pad)), name: hitName(pad), type: "audio/wav" }),
    midiFile: (timing) => (api.hasKey() ? null : { path: api.midiPath(current.job, timing), name: midiName(timing), type: "audio/midi" }),
    // The service renders the hit, so that the file is the same as in a kit.
    hit: (pad) => attempt(async () => {
      saveFile(await api.hit(current.job, pad.drum, pad.chosen + 1, hitQuery(pad)), `${pad.drum}.wav`);
    }),
    kit: () => attempt(async () => {
      const format = $("format").value;
      const chosenOnly = $("which").value === "chosen";
      const options = kitOptions(Object.values(pads), { format, bits: $("bits").value, chosenOnly, name: stem() });
      saveFile(await api.download(current.job, options), format === "wav" ? "kit.zip" : `kit-${format}.zip`);
      announce("The kit is downloading.");
    }),
    midi: (timing) => attempt(async () => {
      saveFile(await api.midi(current.job, timing), midiName(timing));
      announce("The MIDI file is downloading.");
    }),
  };
}
