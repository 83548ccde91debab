"""SFZ 1: the text format of sfizz, sforzando, LinuxSampler and others (sfzformat.com lists the opcodes)."""

from dose.kits.drumkit import DrumKit, VelocityLayer, layers


def text(kit: DrumKit, samples: str = "") -> str:
    """The .sfz file; `samples` is the folder of the WAVs relative to it, ending in a slash, or empty."""
    lines = [f"// {kit.name}", *(f"// {line}" for line in kit.comment.splitlines())]
    lines += ["<control>", f"default_path={samples}"] if samples else []
    # one_shot plays to the end of the sample, and pitch_keytrack=0 keeps its pitch.
    lines += ["<global>", "loop_mode=one_shot", "ampeg_release=0.05", "pitch_keytrack=0"]
    for key in kit.keys:
        pad_layers = layers(key.pad, kit.layering)
        lines += ["", f"<group> // {key.title}", f"key={key.note}"]
        # Round robin: the group counts notes, each region plays at its position in the sequence.
        lines += [f"seq_length={pad_layers[0].seq_length}"] if pad_layers[0].seq_length > 1 else []
        lines += [_region(layer) for layer in pad_layers]
    return "\n".join(lines) + "\n"


def _region(layer: VelocityLayer) -> str:
    position = f" seq_position={layer.seq_position}" if layer.seq_length > 1 else ""
    return f"<region> sample={layer.sound.name}.wav lovel={layer.low} hivel={layer.high}{position}"
