import dataclasses
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from dose import files
from dose.errors import IntegrityError, MissingInputError


def test_atomic_replaces_a_file_only_if_the_block_succeeds(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with files.atomic(path) as beside:
        assert beside.suffix == ".txt"
        beside.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_replaces_a_folder_whole(tmp_path):
    path = tmp_path / "d"
    for text in ("one", "two"):
        with files.atomic(path) as beside:
            beside.mkdir()
            (beside / text).write_text(text)
    assert [p.name for p in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_readable_strict_and_round_trips(tmp_path):
    files.write_json(tmp_path / "x.json", {"a": np.float32(0.5), "p": tmp_path})
    assert files.read_json(tmp_path / "x.json") == {"a": 0.5, "p": str(tmp_path)}
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "y.json", {"a": float("nan")})
    assert not (tmp_path / "y.json").exists()
    (tmp_path / "z.json").write_text("{")
    with pytest.raises(IntegrityError, match="not valid JSON"):
        files.read_json(tmp_path / "z.json")
    with pytest.raises(MissingInputError, match="is missing"):
        files.read_json(tmp_path / "nowhere.json")


def test_hash_json_depends_on_values_and_not_on_order():
    @dataclasses.dataclass
    class C:
        a: int = 1
        b: float = 2.0

    assert files.hash_json({"x": 1, "y": C()}) == files.hash_json({"y": {"b": 2.0, "a": 1}, "x": 1})
    assert files.hash_json({"x": 1}) != files.hash_json({"x": 2})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "sub" / "w.bin").write_bytes(b"tampered"), "w.bin was changed"),
        (lambda d: (d / "sub" / "w.bin").unlink(), "w.bin is missing"),
        (lambda d: (d / "extra").write_text(""), "extra is not in the manifest"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json is missing"),
    ],
)
def test_a_tampered_folder_is_found_and_the_file_named(tmp_path, damage, message):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"weights")
    files.write_manifest(tmp_path)
    files.check_manifest(tmp_path)
    damage(tmp_path)
    with pytest.raises((IntegrityError, MissingInputError), match=message):
        files.check_manifest(tmp_path)


def test_an_archive_holds_its_files_and_its_bytes_are_reproducible(tmp_path):
    members = [("0/a.wav", bytes(range(256)) * 40), ("0/b.json", b"{}"), ("1/a.wav", b"")]
    for name in ("one.zip", "two.zip"):
        files.write_archive(tmp_path / name, iter(members))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    found = files.archive_members(tmp_path / "one.zip")
    assert [(name, member.read_bytes()) for name, member in found.items()] == members
    assert str(found["0/b.json"]) == f"{tmp_path}/one.zip/0/b.json"
    (tmp_path / "b.json").write_bytes(b"{}")
    assert files.sha256(found["0/b.json"]) == files.sha256(tmp_path / "b.json")


def test_a_broken_or_compressed_archive_is_refused(tmp_path):
    path = tmp_path / "part.zip"
    files.write_archive(path, [("a", b"x" * 1000)])
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(IntegrityError, match=r"part\.zip is not a whole archive"):
        files.archive_members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 1000)
    with pytest.raises(IntegrityError, match="compressed"):
        files.archive_members(path)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel call is Linux's")
def test_a_stage_dies_with_its_parent(tmp_path):
    child = "import time, os, sys; from dose.files import die_with_parent; die_with_parent();"
    child += f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as f:  # a zombie that nobody reaps has stopped all the same
        return f.read().rsplit(")", 1)[1].split()[0] != "Z"


def _until(condition) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen within 10 s")
