import subprocess

from dose.tracking import lineage_tags


def git(root, *args):
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *args], cwd=root, check=True, capture_output=True
    )


def test_tags_follow_the_repository_and_the_lock(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    clean = lineage_tags(tmp_path)
    assert len(clean["mlflow.source.git.commit"]) == 40
    assert clean["dose.git_dirty"] == "false"
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    dirty = lineage_tags(tmp_path)
    assert dirty["dose.git_dirty"] == "true"
    assert dirty["dose.dvc_lock"] != clean["dose.dvc_lock"]
    assert dirty["mlflow.source.git.commit"] == clean["mlflow.source.git.commit"]


def test_no_repository_is_said_as_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    tags = lineage_tags(tmp_path)
    assert tags["mlflow.source.git.commit"] == tags["dose.git_dirty"] == tags["dose.dvc_lock"] == "unknown"
    assert "GiB" in tags["dose.hardware"]
