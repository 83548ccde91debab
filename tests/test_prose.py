"""The check of the prose: it finds what it is for, at its line, and leaves code alone; the documents pass."""

import subprocess
import sys

import prose
import pytest


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("It is simply loud.", "'simply'"),
        ("In order to train, it runs.", "-> to"),
        ("The model knows the tempo.", "'model knows'"),
        ("Levels are normalized.", "-> -ise"),
        ("One shots of a github repository.", "'One shots'"),
        ("A file in wav format.", "'wav'"),
        ("The the kick is loud.", "lexical_illusions"),
        ("It is the most unique kick.", "uncomparables"),
        ("The kick " + "and the snare " * 20 + "are loud.", "a sentence of 64 words"),
    ],
)
def test_a_fault_is_found_at_its_line(text, finding):
    found = list(prose.findings(f"# Title\n\nA clean sentence.\n\n{text}\n"))
    assert [line for line, message in found if finding in message] == [5], found


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nvery --simply\n```",
        "The option `--very` is new.",
        "See [the page](very/simply.md) and wav.py.",
        "| a | b |\n|---|---|\n| 0 | 0 |",
        "- One item of a list: " + "it is short. " * 20,
        'Straight "quotes" and three dots ...',
        "A file in WAV format, from GitHub.",
    ],
)
def test_code_and_addresses_and_what_is_intended_are_left_alone(text):
    assert list(prose.findings(text)) == []


def test_the_documents_pass():
    done = subprocess.run([sys.executable, prose.__file__], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
