"""Ogg: its pages, for whether there is one stream of sound or a chain of several."""

from dose.containers.source import Bytes, Container


def ogg(data: Bytes, start: int) -> Container:
    """libsndfile reads the first stream of a chain, and only streams of sound."""
    position, begun = start, 0
    while len(head := data.at(position, 27)) == 27 and head[:4] == b"OggS":
        begun += head[5] >> 1 & 1
        lacing = data.at(position + 27, head[26])
        position += 27 + len(lacing) + sum(lacing)
    whole = position >= data.sound_end() or len(head) < 27
    return Container(plain=begun == 1 and whole)
