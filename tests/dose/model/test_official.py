"""Import of the authors' checkpoints, held against a slow restatement of their code."""

import pickle

import authors_model as authors
import numpy as np
import pytest
import torch

from dose.cli import main
from dose.errors import DoseError, IntegrityError
from dose.model import checkpoint
from dose.model.compat.official import HEAD_SIZE, import_official
from dose.model.decode import generate
from dose.tokens import layout

HEADS = 128 // HEAD_SIZE


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """(path, state) of a small checkpoint; two heads, so that the order of heads matters."""
    path = tmp_path_factory.mktemp("release") / "kick.ckpt"
    return path, authors.write_checkpoint(path, width=128, layers=2)


@pytest.fixture(scope="module")
def codes():
    return torch.randint(1024, (9, 40), generator=torch.Generator().manual_seed(5))


def test_sizes_are_read_from_the_shapes(released, tmp_path):
    config = import_official(released[0]).config
    assert (config.layers, config.width, config.heads) == (2, 128, 2)
    assert (config.codebooks, config.codebook_size, config.steps) == (9, 1024, 183)
    authors.write_checkpoint(tmp_path / "small.ckpt", width=64, layers=3)
    config = import_official(tmp_path / "small.ckpt").config
    assert (config.layers, config.width, config.heads, config.decoding) == (3, 64, 1, "unconstrained")


def test_logits_are_theirs_at_every_row(released, codes):
    path, state = released
    model = import_official(path)
    shot = torch.randint(1025, (30, 9), generator=torch.Generator().manual_seed(6))
    theirs = authors.forward(state, torch.cat([authors.mix_rows(codes), shot]), HEADS)
    with torch.no_grad():
        ours = model(codes[None], shot[None], last=len(theirs))[0]
        lean = model(codes[None], shot[None])[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lean, theirs[-31:], rtol=1e-4, atol=1e-5)


def test_greedy_tokens_are_theirs_start_row_included(released, codes):
    path, state = released
    theirs = authors.generate(state, codes, HEADS, limit=25)
    ours = generate(import_official(path), codes[None], max_steps=25)[0]
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_stop_rule_is_theirs(tmp_path, codes, seed):
    """A head that leans towards the empty token: rows of nine zeros come early, also as row 0."""
    bias = torch.randn(9225, generator=torch.Generator().manual_seed(seed)) * 0.1
    bias.view(9, 1025)[:, 0] += (3.4, 4.0, 3.6)[seed]
    path = tmp_path / "kick.ckpt"
    state = authors.write_checkpoint(path, seed=seed, state={f"{authors.P}fc.bias": bias})
    theirs = authors.generate(state, codes, 1, limit=40)
    ours = generate(import_official(path), codes[None], max_steps=40)[0]
    assert 1 < len(theirs) < 40
    assert layout.stop_step(ours) == len(theirs) - 1
    assert torch.equal(ours[: len(theirs)], theirs)
    assert not ours[len(theirs) :].any()


@pytest.mark.parametrize(
    "change",
    [
        {"without": [f"{authors.P}blocks.1.attn.query.bias"]},
        {"without": [f"{authors.P}fc.weight"]},
        {"without": [f"{authors.P}audio_embedding_layer.4.weight"]},
        {"state": {f"{authors.P}blocks.1.attn.extra": torch.zeros(1)}},
        {"state": {f"{authors.P}blocks.5.ln1.weight": torch.zeros(64)}},
        {"state": {f"{authors.P}audio_embedding_layer.9.weight": torch.zeros(1025, 64)}},
        {"state": {"encoder.weight": torch.zeros(3)}},
        {"state": {f"{authors.P}blocks.0.ff.0.weight": torch.zeros(200, 64)}},
    ],
)
def test_a_name_or_shape_that_is_not_theirs_is_refused(tmp_path, change):
    path = tmp_path / "odd.ckpt"
    authors.write_checkpoint(path, **change)
    with pytest.raises(IntegrityError, match=r"odd\.ckpt"):
        import_official(path)


class Harm:
    def __reduce__(self):
        return (print, ("code in a checkpoint ran",))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"state_dict": Harm()})])
def test_what_is_no_checkpoint_is_told_in_one_sentence_and_runs_no_code(tmp_path, capsys, content):
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    with pytest.raises(DoseError, match=r"bad\.ckpt"):
        import_official(path)
    assert "ran" not in capsys.readouterr().out


def test_a_pickle_with_code_inside_a_torch_file_is_not_run(tmp_path, capsys):
    torch.save({"state_dict": {"inst_decoder.ln.weight": Harm()}}, tmp_path / "harm.ckpt")
    with pytest.raises(IntegrityError, match="not run"):
        import_official(tmp_path / "harm.ckpt")
    assert "ran" not in capsys.readouterr().out


def test_the_commands_import_and_generate(released, codes, tmp_path, capsys):
    path, state = released
    folder = tmp_path / "kick"
    assert main(["import-official", str(path), "--drum", "kick", "--out", str(folder)]) == 0
    assert checkpoint.load(folder).meta["drum"] == "kick"
    np.save(tmp_path / "mix.npy", codes.numpy().astype(np.int32))
    call = ["generate", "--bundle", str(folder), "--codes", str(tmp_path / "mix.npy"), "--max-rows", "12"]
    assert main([*call, "--tokens", str(tmp_path / "rows.npy")]) == 0
    rows = np.load(tmp_path / "rows.npy")
    assert np.array_equal(rows, authors.generate(state, codes, HEADS, limit=12).numpy())
    drawn = ["--temperature", "1", "--top-k", "50", "--seed", "3"]
    for name in ("a.npy", "b.npy"):
        assert main([*call, *drawn, "--rows", str(tmp_path / name)]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert not np.array_equal(np.load(tmp_path / "a.npy"), rows)


@pytest.mark.parametrize("codes_file", ["missing", "text", "floats", "flat", "large"])
def test_bad_codes_are_one_sentence(released, tmp_path, capsys, codes_file):
    folder, path = tmp_path / "kick", tmp_path / "codes.npy"
    main(["import-official", str(released[0]), "--drum", "kick", "--out", str(folder)])
    if codes_file == "text":
        path.write_text("hello")
    elif codes_file != "missing":
        wrong = {"floats": np.zeros((9, 4)), "flat": np.zeros(9, int), "large": np.full((9, 4), 1024)}
        np.save(path, wrong[codes_file])
    capsys.readouterr()
    assert (
        main(["generate", "--bundle", str(folder), "--codes", str(path), "--rows", str(tmp_path / "r.npy")])
        == 1
    )
    said = capsys.readouterr().err
    assert said.startswith("dose: ")
    assert said.count("\n") == 1
    assert "codes" in said
