"""The second pass over a recording: every candidate hit is scored anew beside all the others.

The network reads 4 s. Over a whole recording a drum mostly sounds alike and its pattern repeats: a hit that
sounds like the drum's certain hits, and has others a beat or a bar away, is more probable than alone.
"""
