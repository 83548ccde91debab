"""What the page plays: its audio, captured in the browser, and the onsets of known sounds in it."""

import dataclasses

import groove
import numpy as np
from scipy import signal
from starlette.responses import Response
from starlette.routing import Route

# Runs before the page's scripts: whatever is connected to the speakers is connected to a recorder as well.
_TAP = """
const connect = AudioNode.prototype.connect;
window.heard = { blocks: [], rate: 0, ready: false, time: () => 0 };
let tap;
function recorder(context) {
  if (tap) return tap;
  tap = new GainNode(context);
  heard.rate = context.sampleRate;
  heard.time = () => context.currentTime;
  context.audioWorklet.addModule("/tap.js").then(() => {
    const node = new AudioWorkletNode(context, "tap", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = (event) => heard.blocks.push(event.data);
    connect.call(tap, node);
    connect.call(node, context.destination);  // its output is silent; unconnected it would not run
    heard.ready = true;
  });
  return tap;
}
AudioNode.prototype.connect = function (to, ...rest) {
  const speakers = to instanceof AudioDestinationNode && this.context instanceof AudioContext;
  if (speakers) connect.call(this, recorder(this.context));
  return connect.call(this, to, ...rest);
};
"""
_WORKLET = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([input]) {
    if (input[0]) this.port.postMessage([currentFrame, input[0].map((x) => Math.round(32767 * x))]);
    return true;
  }
});
"""
# 16-bit numbers, joined per block: [[first frame, [samples]]].
_TAKE = "heard.blocks.splice(0).map(([frame, samples]) => [frame, Array.from(samples)])"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onset:
    """A sound in what was heard."""

    drum: str
    seconds: float  # on the clock of the page's AudioContext
    level: float  # of its peak; 1 is full scale


def prepare(page) -> None:
    """Before the page is opened."""
    page.add_init_script(_TAP)


# Playwright does not intercept what a worklet loads, and the page's Content-Security-Policy allows only the
# service's own scripts.
ROUTE = Route("/tap.js", lambda request: Response(_WORKLET, media_type="text/javascript"))


def onsets(page) -> list[Onset]:
    """All sounds of `groove.sounds` since the last call, by time; of each drum by a matched filter."""
    rate, blocks = page.evaluate("heard.rate"), page.evaluate(_TAKE)
    first, last = blocks[0][0], blocks[-1][0] + len(blocks[-1][1])
    heard = np.zeros(last - first)
    for frame, samples in blocks:
        heard[frame - first : frame - first + len(samples)] = np.array(samples) / 32767
    found = []
    time = np.arange(int(0.07 * rate)) / rate
    for drum, hertz in groove.HERTZ.items():
        sound = np.cos(2 * np.pi * hertz * time) * np.exp(-100 * time)
        # [N]: the level at which the sound, beginning there, fits best.
        fit = signal.correlate(heard, sound, mode="full")[len(sound) - 1 :] / np.sum(sound**2)
        peaks, _ = signal.find_peaks(fit, height=0.1, distance=int(0.05 * rate))
        found += [Onset(drum=drum, seconds=(first + p) / rate, level=float(fit[p])) for p in peaks]
    return sorted(found, key=lambda onset: onset.seconds)
