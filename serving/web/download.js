// Downloads: the options that the service renders a kit with, and saving what it returns.

export const FORMAT_NAMES = { wav: "WAV files", sfz: "SFZ", hydrogen: "Hydrogen", decentsampler: "DecentSampler", ableton: "Ableton Drum Rack", sf2: "SoundFont 2", mpc: "MPC program" };

// Tail, level and chosen candidate of each pad, as options of the API.
export const padOptions = (pads) => ({
  tail: pads.filter((p) => Number.isFinite(p.tail)).map((p) => `${p.drum}:${p.tail}`).join(","),
  peak: pads.map((p) => `${p.drum}:${p.level}`).join(","),
  pick: pads.map((p) => `${p.drum}:${p.chosen + 1}`).join(","),
});

// Options of a whole kit. Undetected drums are left out, unless there are no others.
export function kitOptions(pads, { format, bits, chosenOnly, fileName }) {
  const withHits = pads.filter((p) => p.hits.length);
  const detected = withHits.filter((p) => p.detected);
  const { tail, peak, pick } = padOptions(detected.length ? detected : withHits);
  const options = { format, tail, peak, undetected: detected.length ? "drop" : "keep", bits };
  if (fileName) options.name = fileName.replace(/\.[^.]*$/, "").slice(0, 200); // the API's longest name
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
