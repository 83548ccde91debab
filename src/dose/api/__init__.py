"""The Python API, as docs/python.md shows it: `Extractor().extract_file("song.wav").save("kit")`.

`Extractor` and `Kit` are names of the package `dose` itself. The command line uses them too.
"""
