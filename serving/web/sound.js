// Playback of hits and of the original on one AudioContext.

let context;

export function audioContext() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  if (context.state === "suspended") context.resume();
  return context;
}

export async function decodeHit(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return decode(bytes.buffer);
}

// An OfflineAudioContext decodes before the user's first gesture, when an AudioContext may not run yet.
export const decode = (buffer) => new OfflineAudioContext(2, 1, 44100).decodeAudioData(buffer);

// Plays `buffer` at `when`, cut to `tail` seconds with the fade that the download has, at `level` dBFS peak for
// the highest velocity, 127.
export function playHit(buffer, { tail = Infinity, level = -1, when = 0, velocity = 127, destination } = {}) {
  const audio = audioContext();
  const source = new AudioBufferSourceNode(audio, { buffer });
  // The service normalises hits to -1 dBFS, so that is the level at a gain of 1. Velocity is squared, as in
  // General MIDI (level 2) and by default in SFZ: half of it is 12 dB less.
  const gain = new GainNode(audio, { gain: 10 ** ((level + 1) / 20) * (velocity / 127) ** 2 });
  const start = Math.max(when, audio.currentTime);
  if (tail < buffer.duration) {
    const curve = Float32Array.from({ length: 32 }, (_, i) => gain.gain.value * (0.5 + 0.5 * Math.cos((Math.PI * i) / 31)));
    gain.gain.setValueCurveAtTime(curve, start + tail / 2, tail / 2);
    source.start(start, 0, tail);
  } else {
    source.start(start);
  }
  source.connect(gain).connect(destination ?? audio.destination);
  return start;
}

// `seconds` of a buffer from the moment `start` on; silence where that lies outside it.
export function cut(buffer, start, seconds) {
  const { sampleRate, numberOfChannels } = buffer;
  const part = new AudioBuffer({ sampleRate, numberOfChannels, length: Math.max(1, Math.round(seconds * sampleRate)) });
  const first = Math.round(start * sampleRate);
  for (let channel = 0; channel < numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel).subarray(Math.max(0, first), Math.max(0, first + part.length));
    part.copyToChannel(samples, channel, Math.max(0, -first));
  }
  return part;
}

const FADE = 0.004; // seconds, at the end of the original's bar

// Plays `length` seconds of the original at `when`, from `offset` on; returns its source.
export function playOriginal(buffer, { offset, length, when, destination }) {
  const audio = audioContext();
  const source = new AudioBufferSourceNode(audio, { buffer });
  const gain = new GainNode(audio);
  source.connect(gain).connect(destination);
  source.start(when, offset);
  if (Number.isFinite(length)) {
    gain.gain.setValueAtTime(1, when + length - FADE);
    gain.gain.linearRampToValueAtTime(0, when + length);
    source.stop(when + length);
  }
  return source;
}

// Tempo in beats per minute, 70 to 175: autocorrelation of the onset strength of the first minute.
export function tempoOf(buffer) {
  const hop = 441; // samples, 10 ms at 44.1 kHz
  const samples = buffer.getChannelData(0).subarray(0, buffer.sampleRate * 60);
  const rate = buffer.sampleRate / hop;
  // Onset strength: half-wave rectified difference of the log energy.
  const rises = [];
  let last = 0;
  for (let i = 0; i + hop <= samples.length; i += hop) {
    let energy = 0;
    for (let j = i; j < i + hop; j++) energy += samples[j] * samples[j];
    const loud = Math.log1p(1000 * energy);
    rises.push(Math.max(0, loud - last));
    last = loud;
  }
  const mean = rises.reduce((a, b) => a + b, 0) / (rises.length || 1);
  const flux = rises.map((x) => x - mean);
  const autocorrelation = (lag) => {
    let sum = 0;
    for (let i = 0; i + lag < flux.length; i++) sum += flux[i] * flux[i + lag];
    return sum / (flux.length - lag);
  };
  let best = { score: -Infinity, bpm: 120 };
  for (let bpm = 70; bpm <= 175; bpm += 0.5) {
    const lag = (60 * rate) / bpm;
    if (flux.length < 4 * lag) continue;
    // A beat period also repeats after two and four beats. A log-normal prior around 120 decides between
    // octaves; its width of 0.7 octaves was set by hand.
    const prior = Math.exp(-0.5 * (Math.log2(bpm / 120) / 0.7) ** 2);
    const score = prior * (autocorrelation(Math.round(lag)) + autocorrelation(Math.round(2 * lag)) + autocorrelation(Math.round(4 * lag)));
    if (score > best.score) best = { score, bpm };
  }
  return best.bpm;
}
