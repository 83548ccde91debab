"""DecentSampler's .dspreset: XML beside its samples."""

from xml.etree import ElementTree

from dose.kits.drumkit import DrumKit, layers


def preset(kit: DrumKit, samples: str = "") -> bytes:
    """The .dspreset; `samples` is the folder of the WAVs relative to it, ending in a slash, or empty."""
    root = ElementTree.Element("DecentSampler", minVersion="1.6.0")
    if kit.comment:
        # XML forbids two hyphens in a comment.
        root.append(ElementTree.Comment(f" {kit.comment.replace('--', '- -')} "))
    groups = ElementTree.SubElement(
        root, "groups", attack="0", decay="0", sustain="1", release="0.05", ampVelTrack="1"
    )
    for key in kit.keys:
        pad_layers = layers(key.pad, kit.layering)
        seq_length = pad_layers[0].seq_length
        mode = {"seqMode": "always"}
        if seq_length > 1:
            mode = {"seqMode": "round_robin", "seqLength": str(seq_length)}
        group = ElementTree.SubElement(groups, "group", {"name": key.title, "tags": key.pad.drum, **mode})
        for layer in pad_layers:
            ElementTree.SubElement(
                group,
                "sample",
                {
                    "path": f"{samples}{layer.sound.name}.wav",
                    "rootNote": str(key.note),
                    "loNote": str(key.note),
                    "hiNote": str(key.note),
                    # One key per group; `pitchKeyTrack` 0 plays it at its own pitch.
                    "loVel": str(layer.low),
                    "hiVel": str(layer.high),
                    "trigger": "attack",
                    "pitchKeyTrack": "0",
                    **({"seqPosition": str(layer.seq_position)} if seq_length > 1 else {}),
                },
            )
    ElementTree.indent(root)
    xml: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml
