"""Ogg (RFC 3533): walks the pages to find whether there is one stream of sound or a chain of several."""

from dose.containers.byte_reader import ByteReader, split
from dose.containers.container import Container


def ogg(data: ByteReader, start: int) -> Container:
    """libsndfile reads only the first stream of a chain and refuses streams that are not sound."""
    position, streams, links, in_link = start, 0, [start], False
    while True:
        head = data.at(position, 27)  # a page header, before its segment table
        if len(head) < 27:
            break
        if head[:4] != b"OggS":
            following = data.find(b"OggS", position)
            if following < 0 or not in_link:
                break
            position = following  # a tag lies between two links
            continue
        begins_stream = bool(head[5] & 2)
        # The first pages of all streams of a link stand together; one after other pages begins a new link.
        if begins_stream and in_link:
            links.append(position)
        in_link, streams = not begins_stream, streams + begins_stream
        # The segment table gives the sizes of the page's segments, one byte each.
        segments = data.at(position + 27, head[26])
        position += 27 + len(segments) + sum(segments)
    if len(links) > 1:
        return Container(parts=split(data, links))
    complete = position >= data.sound_end() or len(head) < 27
    return Container(
        libsndfile=streams == 1 and complete,
        truncated=position > data.size or (0 < len(head) < 27 and head[:4] == b"OggS"),
    )
