"""Ogg: its pages, for whether there is one stream of sound or a chain of several."""

from dose.containers.source import Bytes, Container, split


def ogg(data: Bytes, start: int) -> Container:
    """libsndfile reads the first stream of a chain, and only streams of sound; FFmpeg none of other kinds."""
    position, begun, links, inside = start, 0, [start], False
    while True:
        head = data.at(position, 27)
        if len(head) < 27:
            break
        if head[:4] != b"OggS":
            following = data.find(b"OggS", position)
            if following < 0 or not inside:  # a tag between two links
                break
            position = following
            continue
        first = bool(head[5] & 2)
        if first and inside:
            links.append(position)
        inside, begun = not first, begun + first
        lacing = data.at(position + 27, head[26])
        position += 27 + len(lacing) + sum(lacing)
    if len(links) > 1:
        return Container(parts=split(data, links))
    whole = position >= data.sound_end() or len(head) < 27
    return Container(
        plain=begun == 1 and whole, torn=position > data.size or (0 < len(head) < 27 and head[:4] == b"OggS")
    )
