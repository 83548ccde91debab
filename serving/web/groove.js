// The song's groove, as the service describes it: its typical bar for the sequencer, and where its steps fall.

// Lanes and legend keep this order, so that no colour is needed to tell two classes apart. The colours differ by
// 18 or more in CIELAB also under simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009).
export const CLASSES = {
  kick: { title: "Kick", drum: "kick", colour: "#ff8466" },
  snare: { title: "Snare", drum: "snare", colour: "#ffcf5c" },
  closed_hihat: { title: "Closed hi-hat", drum: "hihat", colour: "#56d3f5" },
  open_hihat: { title: "Open hi-hat", drum: "hihat", colour: "#4a86f7" },
  clap: { title: "Clap", colour: "#d24fc0" },
  tom: { title: "Tom", colour: "#6b8f1f" },
  cymbal: { title: "Cymbal", colour: "#f4f6fb" },
};

const LOUDEST = 127; // velocity, as in MIDI
const full = (steps) => Array.from({ length: 16 }, (_, step) => ({ velocity: steps.includes(step) ? LOUDEST : 0, open: false }));

// The sequencer starts with this bar where the song's own is not known.
export const DEFAULT_BAR = {
  stepsPerBeat: 4, beatsPerBar: 4, swing: 0, subdivision: 4, tempo: null,
  rows: { kick: full([0, 4, 8, 12]), snare: full([4, 12]), hihat: full([0, 2, 4, 6, 8, 10, 12, 14]) },
};

// The song's typical bar: per drum of the kit and step a velocity (0: no hit), and whether the hi-hat is open.
export function barOf(groove) {
  if (!groove?.pattern) return DEFAULT_BAR;
  const { steps_per_beat: stepsPerBeat, velocities } = groove.pattern;
  const row = (drum) => Array.from({ length: stepsPerBeat * groove.beats_per_bar }, (_, step) => {
    const of = (name) => velocities[name]?.[step] ?? 0;
    const names = Object.keys(CLASSES).filter((name) => CLASSES[name].drum === drum);
    const loudest = names.reduce((a, b) => (of(b) > of(a) ? b : a));
    return { velocity: of(loudest), open: loudest === "open_hihat" };
  });
  return {
    stepsPerBeat, beatsPerBar: groove.beats_per_bar, swing: groove.swing, subdivision: groove.swing_subdivision,
    tempo: groove.tempo, rows: { kick: row("kick"), snare: row("snare"), hihat: row("hihat") },
  };
}

// Beats from the beginning of the bar at which a step is played: of each pair of subdivisions the second is
// late by the fraction `swing` of one, and what lies between moves along.
export function swungBeats(step, { stepsPerBeat, swing, subdivision }) {
  const one = 1 / subdivision;
  const beats = step / stepsPerBeat;
  const within = beats % (2 * one);
  return beats - within + (within < one ? within * (1 + swing) : one * (1 + swing) + (within - one) * (1 - swing));
}

// Length of the typical bar in the recording, in seconds: by the recording's own beats where they reach.
export function barSeconds({ beats, beats_per_bar: count, tempo, pattern }) {
  const first = beats.findIndex((beat) => Math.abs(beat - pattern.start) < 0.001);
  const end = first < 0 ? undefined : beats[first + count];
  return end === undefined ? (60 * count) / tempo : end - pattern.start;
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

// What is known of the rhythm, in a sentence; empty where nothing is.
export function describe(groove) {
  if (!groove) return "";
  if (!groove.tempo) return "No steady beat was found in the song.";
  const swing = Math.round(100 * groove.swing);
  const unit = groove.swing_subdivision === 2 ? "eighths" : "sixteenths";
  const facts = [`${groove.tempo.toFixed(1)} BPM`, `${groove.beats_per_bar}/4`, swing ? `swing ${swing} % of ${unit}` : "no swing"];
  const text = `The song: ${facts.join(", ")}.`;
  if (!groove.pattern) return text;
  const silent = Object.keys(CLASSES).filter((name) => !CLASSES[name].drum && groove.pattern.velocities[name]?.some(Boolean));
  const missing = silent.length ? ` The kit has no sound for its ${silent.map((name) => CLASSES[name].title.toLowerCase()).join(" and ")}.` : "";
  return `${text} The steps are its most typical bar, at ${clock(Math.max(0, groove.pattern.start))}.${missing}`;
}
