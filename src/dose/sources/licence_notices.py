"""The texts NOTICE-*.md that are shipped beside the clips, one per licence."""

from collections.abc import Iterable, Sequence

NOTICES = {
    "CC0-1.0": "These sounds were put into the public domain under CC0 1.0 "
    "(https://creativecommons.org/publicdomain/zero/1.0/). No notice is needed; thanks go to their authors.",
    "CC-BY-3.0": "These sounds are used under Creative Commons Attribution 3.0 Unported "
    "(https://creativecommons.org/licenses/by/3.0/).",
    "CC-BY-4.0": "These sounds are used under Creative Commons Attribution 4.0 International "
    "(https://creativecommons.org/licenses/by/4.0/).",
    "MIT": "These sounds were rendered from Fluid (R3) by Frank Wen, released under the MIT licence, whose "
    "text follows below.",
}
# The CC BY licences ask for a statement of changes.
CHANGES = (
    "Changes made here: silence in front cut, mixed to mono, brought to 44.1 kHz, cropped (one-shots to 1 s, "
    "loops to 4 s) with a fade, peak-normalised, stored as FLAC (one-shots 16 bit, loops 11 bit)."
)


def notice(licence: str, rows: Sequence[dict[str, str]], licence_text: str | None) -> str:
    """NOTICE-<licence>.md for the `rows` of samples.csv under that licence.

    `licence_text` is quoted in full at the end, for licences that must be reproduced.
    """
    credits = sorted({r["attribution"] for r in rows})
    lines = [
        f"# {licence}",
        "",
        NOTICES[licence],
        "",
        CHANGES,
        "",
        "## Credits",
        "",
        *(f"- {c}" for c in credits),
    ]
    if licence_text is not None:
        quoted = (f"> {line}".rstrip() for line in licence_text.splitlines())
        lines += ["", "## The licence's text", "", *quoted]
    return "\n".join(lines) + "\n"


def demo_notice(authors: Iterable[tuple[str, str]]) -> str:
    """demo/NOTICE.md for (file name, author) of each demo loop."""
    lines = [
        "# Recorded loops",
        "",
        NOTICES["CC0-1.0"],
        "",
        "Mixed to mono; otherwise as Sonic Pi ships them.",
        "",
        *(f"- {name}: {author} (CC0 1.0)" for name, author in authors),
    ]
    return "\n".join(lines) + "\n"
