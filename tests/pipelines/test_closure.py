"""dvc.yaml lists exactly the code that each stage can import."""

import yaml

from pipelines import closure


def test_each_stages_deps_are_its_import_closure():
    for name, stage in yaml.safe_load(closure.DVC.read_text())["stages"].items():
        listed = [d for d in stage["deps"] if closure.is_source(d)]
        assert listed == closure.closure(name), f"{name}: run `make deps`"


def test_the_closure_follows_inner_imports_and_named_data_and_folds_packages_mostly_needed(
    tmp_path, monkeypatch
):
    for folder in ("clips", "weights", "pictures"):
        (tmp_path / "src/dose/room" / folder).mkdir(parents=True)
    (tmp_path / "src/dose/most").mkdir()
    (tmp_path / "pipelines").mkdir()
    for name, text in {
        "pipelines/one.py": "def f():\n    from dose.room import deep\n    import dose.most.used\n",
        "pipelines/two.py": "import numpy\n",
        "src/dose/__init__.py": "",
        "src/dose/room/__init__.py": "",
        "src/dose/room/deep.py": "from dose.base import x\nfiles = (D / 'weights' / 'a', D / 'table.csv')\n",
        "src/dose/room/unused.py": "PICTURES = D / 'pictures'\n",
        **{f"src/dose/room/unused{i}.py": "" for i in range(5)},
        "src/dose/most/__init__.py": "",
        "src/dose/most/used.py": "",
        "src/dose/most/unused.py": "",
        "src/dose/base.py": "x = 1\n",
        "src/dose/room/clips/a.flac": "",
        "src/dose/room/weights/a": "",
        "src/dose/room/pictures/b.png": "",
        "src/dose/room/table.csv": "",
        "src/dose/room/__init__.pyi": "",
        "src/dose/room/py.typed": "",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    monkeypatch.setattr(closure, "PACKAGES", {"dose": tmp_path / "src", "pipelines": tmp_path})
    assert closure.closure("one") == [
        "pipelines/one.py",
        "src/dose/__init__.py",
        "src/dose/base.py",
        "src/dose/most",
        "src/dose/room/__init__.py",
        "src/dose/room/clips",
        "src/dose/room/deep.py",
        "src/dose/room/table.csv",
        "src/dose/room/weights",
    ]
    assert closure.closure("two") == ["pipelines/two.py"]
