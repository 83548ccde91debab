"""SFZ 1: text that sfizz, sforzando, LinuxSampler and others read."""

from dose.kits.drumkit import DrumKit, VelocityLayer, layers


def text(kit: DrumKit, samples: str = "") -> str:
    """The .sfz file; `samples` is the folder of the WAVs relative to it, ending in a slash, or empty."""
    lines = [f"// {kit.name}", *(f"// {line}" for line in kit.comment.splitlines())]
    lines += ["<control>", f"default_path={samples}"] if samples else []
    lines += ["<global>", "loop_mode=one_shot", "ampeg_release=0.05", "pitch_keytrack=0"]
    for pad in kit.pads:
        shared = layers(pad, kit.layering)
        if not shared:
            continue
        lines += ["", f"<group> // {pad.title}", f"key={pad.note}"]
        lines += [f"seq_length={shared[0].turns}"] if shared[0].turns > 1 else []
        lines += [_region(layer) for layer in shared]
    return "\n".join(lines) + "\n"


def _region(layer: VelocityLayer) -> str:
    turn = f" seq_position={layer.turn}" if layer.turns > 1 else ""
    return f"<region> sample={layer.sound.name}.wav lovel={layer.low} hivel={layer.high}{turn}"
