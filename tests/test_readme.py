"""The README: its length, its images and sounds, and that each of its commands is run by a test."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dose_serve import dose_serve

from dose import audio

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
LOOP = ROOT / "src/dose/sources/demo/loop_garzul.flac"
PROGRAMS = ("dose", "make", "pip", "python", "curl", "bentoml", "dvc")
# Commands that this file runs, each as it stands in the README.
RUN_HERE = {
    "dose demo",
    "dose extract song.mp3 --out kit --kit sfz,ableton --page kit.html",
    "dose serve",
    "curl -F file=@song.wav localhost:3000/extract -o kit.zip",
    "python docs/listening_examples.py",
}
IN_A_PROJECT = ("tests/pipelines/test_readme_project.py", '"scale", f"SCALE={scale}"')
# Commands that take minutes, or an environment of their own: the file that runs them, and its line that does.
RUN_BY = {
    "pip install .": ("tests/test_wheel.py", '"install", "--quiet", "--no-compile", torch, wheel'),
    "pip install '.[serve]'": ("tests/test_wheel.py", '"--no-compile", f"{wheel}[serve]"'),
    "dose bench NAME": ("tests/dose/test_cli.py", 'cli.main(["bench", "tiny", "--n", "5"])'),
    "make demo": ("tests/pipelines/test_dag.py", '"make", "-o", "install", "demo"'),
    "make test": (".ci/run", "make test"),
    "make ui": ("tests/pipelines/test_makefile.py", '"ui"'),
    "make docs": ("tests/test_docs.py", '"mkdocs", "build", "--strict"'),
    "make scale SCALE=shipped": IN_A_PROJECT,
    "make scale SCALE=transcription": IN_A_PROJECT,
    "make scale SCALE=paper": IN_A_PROJECT,
    "dose retrain --status": ("tests/pipelines/test_readme_project.py", '"dose", "retrain", "--status"'),
    'dose retrain --now "new kit"': (
        "tests/pipelines/test_retrain_whole.py",
        '"dose", "retrain", "--now", "the same once more"',
    ),
    "dose evaluate --bundle shipped --data rmod,realistic --n 60 --baselines": (
        "tests/dose/evaluate/test_evaluate_command.py",
        '"evaluate", "--bundle", str(bundle), "--data", "rmod", "--n", "5", "--baselines"',
    ),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def commands() -> list[str]:
    """Those of the code blocks, without their comments, and those within the prose."""
    found = [re.sub(r"\s+# .*", "", line) for block in blocks("sh") for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.M | re.S)
    found += [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    return [command for command in found if command.startswith(tuple(f"{name} " for name in PROGRAMS))]


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_its_images_and_sounds_are_there():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", TEXT)
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert any(link.endswith(".png") for link in links)
    sounds = [ROOT / link for link in links if link.endswith(".mp3")]
    assert len(sounds) >= 2
    assert sum(path.stat().st_size for path in sounds) < 1_000_000
    for path in sounds:
        assert audio.peak(audio.read(path)) > 0.1, path.name


def test_each_command_is_run_by_a_test():
    assert set(commands()) == RUN_HERE | RUN_BY.keys()
    for command, (path, part) in RUN_BY.items():
        assert part in (ROOT / path).read_text(), command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a song, as MP3 and as WAV."""
    made = tmp_path_factory.mktemp("readme")
    sound = audio.read(LOOP)
    audio.write(made / "song.wav", sound)
    (made / "song.mp3").write_bytes(audio.encoded(sound, "MP3"))
    return made


def environment() -> dict[str, str]:
    """The programs of this environment, and this tree's code."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DOSE_")}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def run(command: str | list[str], cwd: Path) -> str:
    words = shlex.split(command) if isinstance(command, str) else command
    done = subprocess.run(words, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_the_first_kit(folder):
    assert "The kit is in dose-demo" in run("dose demo", folder)
    run("dose extract song.mp3 --out kit --kit sfz,ableton --page kit.html", folder)
    assert {"kick.wav", "snare.wav", "hihat.wav", "song.sfz", "song.adg"} <= set(os.listdir(folder / "kit"))
    assert (folder / "kit.html").is_file()


@pytest.mark.slow
def test_the_lines_of_python(folder, tmp_path):
    shutil.copy(folder / "song.wav", tmp_path)
    [block] = blocks("python")
    assert run([sys.executable, "-c", block], tmp_path).startswith("True 0.")
    assert (tmp_path / "kit/song.adg").is_file()


@pytest.mark.slow
def test_the_service_answers_with_a_kit(folder):
    """On another port: 3000 is taken on many machines of developers."""
    dose = Path(sys.executable).with_name("dose")
    with dose_serve(dose, folder, environment()) as url:
        address = url.removeprefix("http://")
        run(f"curl -sS --fail -F file=@song.wav {address}/extract -o kit.zip", folder)
    assert (folder / "kit.zip").read_bytes().startswith(b"PK")


@pytest.mark.slow
def test_the_listening_examples_are_made_again(tmp_path):
    run([sys.executable, str(ROOT / "docs/listening_examples.py"), "--out", str(tmp_path)], tmp_path)
    for committed in (ROOT / "docs/sounds").iterdir():
        made = audio.read(tmp_path / committed.name)
        assert len(made) == pytest.approx(len(audio.read(committed)), abs=2304)  # two frames of MP3
