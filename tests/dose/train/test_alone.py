"""`python -m dose.train` on a bare machine."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from dose.model import checkpoint
from dose.model.config import ModelConfig
from dose.tokens.shards import Index, write_index, write_shard
from dose.train import __main__ as alone
from dose.train.config import FitConfig

FIT = FitConfig(
    model=ModelConfig(
        layers=1, width=16, heads=2, codebooks=3, codebook_size=20, frames=6, segments=2,
        conditioning="aligned",
    ),
    steps=4, warmup=1, batch=4, evaluate_every=2, evaluate_items=4, precision="fp32",
)  # fmt: skip


@pytest.fixture
def command(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("val", 4)):
        arrays = {"kick": rng.integers(0, 20, (n, 3, 6)), "prompt_kick": rng.integers(0, 20, (n, 3, 8))}
        entry = write_shard(tmp_path / "tokens" / split, 0, arrays, "key")
        index = Index(
            codec_id="c", data_id="d", prompt={"kind": "hits", "hits": 2, "seconds": 0.1}, shards=(entry,)
        )
        write_index(tmp_path / "tokens" / split, index)
    (tmp_path / "fit.json").write_text(json.dumps(dataclasses.asdict(FIT)))
    paths = {"tokens": tmp_path / "tokens", "config": tmp_path / "fit.json", "out": tmp_path / "out"}
    arguments = [str(x) for name, path in paths.items() for x in (f"--{name}", path)]
    monkeypatch.setattr(sys, "argv", ["dose.train", "--drum", "kick", "--device", "cpu", *arguments])
    return paths


def test_it_trains_reports_each_evaluation_and_does_not_train_twice(command, capsys):
    alone.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    card = checkpoint.load(command["out"] / "best").meta
    assert (card["drum"], card["codec_id"]) == ("kick", "c")
    alone.main()
    assert capsys.readouterr().out == ""


def test_mistakes_are_one_sentence(command):
    command["config"].write_text(json.dumps({**dataclasses.asdict(FIT), "stepz": 1}))
    with pytest.raises(SystemExit, match="stepz"):
        alone.main()
    wrong = dataclasses.replace(FIT, model=dataclasses.replace(FIT.model, frames=7))
    command["config"].write_text(json.dumps(dataclasses.asdict(wrong)))
    with pytest.raises(SystemExit, match="frames"):
        alone.main()


def test_it_asks_for_nothing_but_torch_numpy_and_safetensors():
    others = {"ray", "mlflow", "yaml", "pandas", "soundfile", "soxr", "scipy", "librosa"}
    code = f"import sys, dose.train.__main__; print(*({others!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
