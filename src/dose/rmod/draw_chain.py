"""Parameters of a track's mixing chain and of the master, for a block of B items."""

import numpy as np

from dose.rmod import ranges
from dose.rmod.columns import Coded, Many, Maybe, Node
from dose.rmod.config import MasterConfig, RmodConfig
from dose.rmod.parameters import TrackUniforms

PAN_LAWS = ("linear", "power", "compromise")


def draw_chain(config: RmodConfig, track: ranges.TrackRange, u: TrackUniforms) -> Node:
    """The fields of `ChainSpec`."""
    c = track.compressor
    return {
        # Polarity.
        "inverted": u.happens("inverted", 0.5),
        "gain_db": u.real("gain", track.gain_db),
        "shelf": _filter(track.shelf, u, "shelf"),
        "peaks": _peaks(track.peaks, u),
        "compressor": {
            "threshold_db": u.real("threshold", c.threshold_db),
            "attack_ms": u.real("attack", c.attack_ms),
            "release_ms": u.real("release", c.release_ms),
            "ratio": u.real("ratio", c.ratio),
        },
        "pan": u.real("pan", track.pan),
        "law": Coded(u.below("law", len(PAN_LAWS)), PAN_LAWS),
        "limiter": _limiter(track.limiter, u),
        "reverb": Maybe(u.happens("reverb", track.reverb), _reverb(config.reverb, u)),
        "delay": Maybe(u.happens("delay", track.delay), _delay(config.delay, u)),
    }


def draw_master(master: MasterConfig, u: TrackUniforms) -> Node:
    """The fields of `MasterSpec`."""
    return {
        "peaks": _peaks(master.peaks, u),
        "gain_db": u.real("gain", master.gain_db),
        "limiter": _limiter(master.limiter, u),
    }


def _filter(span: ranges.FilterRange, u: TrackUniforms, name: str) -> dict[str, Node]:
    return {
        "gain_db": u.real(f"{name}_db", span.gain_db),
        "hz": u.real(f"{name}_hz", span.hz),
        "q": u.real(f"{name}_q", span.q),
    }


def _peaks(spans: tuple[ranges.FilterRange, ...], u: TrackUniforms) -> Node:
    # An empty list still needs one node, which gives the table's column its type.
    unused = ranges.FilterRange(gain_db=(0, 0), hz=(1000, 1000), q=(1, 1))
    nodes = tuple(_filter(span, u, f"peak{i}") for i, span in enumerate(spans or (unused,)))
    return Many(nodes, np.full(len(u.u), len(spans)))


def _limiter(span: ranges.LimiterRange, u: TrackUniforms) -> dict[str, Node]:
    return {
        "threshold_db": u.real("limit", span.threshold_db),
        "release_ms": u.real("limit_release", span.release_ms),
    }


def _send_filter(span: ranges.SendFilterRange, u: TrackUniforms, send: str) -> dict[str, Node]:
    # Drawn also where unused, so that every item reads the same columns.
    low = u.real(f"{send}_lowpass", span.lowpass_hz)
    return {
        "highpass_hz": u.real(f"{send}_highpass", span.highpass_hz),
        "lowpass_hz": Maybe(u.happens(f"{send}_lowpassed", span.lowpass), low),
    }


def _reverb(span: ranges.ReverbRange, u: TrackUniforms) -> Node:
    return {
        "room": u.real("room", span.room),
        "damping": u.real("damping", span.damping),
        "width": u.real("width", span.width),
        "level_db": u.real("reverb_level", span.level_db),
        **_send_filter(span.filter, u, "reverb"),
    }


def _delay(span: ranges.DelayRange, u: TrackUniforms) -> Node:
    return {
        "seconds": u.real("seconds", span.seconds),
        "feedback": u.real("feedback", span.feedback),
        "level_db": u.real("delay_level", span.level_db),
        **_send_filter(span.filter, u, "delay"),
    }
