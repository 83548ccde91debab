"""Cached decoding against the model's own uncached forward pass, for every switch."""

import dataclasses

import pytest
import torch

from dose import compute
from dose.model import engine
from dose.model.config import ModelConfig
from dose.model.decode import generate, teacher_forced
from dose.model.engine import DecodingEngine
from dose.model.sampling import Sampling, draw
from dose.model.transformer import DoseModel
from dose.tokens import layout

SWITCHES = {
    "paper": {},
    "free": {"structure": "free"},
    "rotary": {"positions": "rotary"},
    "bidirectional": {"prefix": "bidirectional"},
    "aligned": {"aligned": "also", "excerpts": 3},
    "aligned-rotary": {"aligned": "also", "excerpts": 3, "positions": "rotary"},
    "aligned-free": {"aligned": "also", "excerpts": 3, "structure": "free"},
    "aligned-only": {"aligned": "only", "excerpts": 3, "positions": "rotary"},
    "aligned-only-free": {"aligned": "only", "excerpts": 3, "structure": "free"},
    "parallel": {"pattern": "parallel"},
    "shared": {"drums": ("kick", "snare"), "positions": "rotary", "aligned": "also", "excerpts": 3},
}


def tiny(seed: int = 0, **switches: object) -> DoseModel:
    """A model whose logits are far apart, so that rounding cannot decide."""
    torch.manual_seed(seed)
    config = ModelConfig(
        layers=2, width=32, heads=4, dropout=0.1, codebooks=4, entries=30, frames=12, **switches
    )
    model = DoseModel(config).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


def prompts(model: DoseModel, batch: int, seed: int = 1, frames: int = 21) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.entries, (batch, model.config.codebooks, frames), generator=g)


def drums(model: DoseModel, batch: int) -> torch.Tensor | None:
    return torch.arange(batch) % 2 if model.config.drums else None


@torch.no_grad()
def slowly(model: DoseModel, prompt: torch.Tensor, drum: torch.Tensor | None, max_rows: int) -> torch.Tensor:
    """One request, greedily, the whole sequence again for each row: what the cache must not change."""
    c = model.config
    rows = torch.zeros(1, 0, c.codebooks, dtype=torch.long)
    occupied = layout.occupied(c.frames, c.codebooks, c.pattern)
    for row in range(max_rows):
        logits = model(prompt, rows, drum, last=1)[:, -1]
        if c.structure == "fixed":
            logits[..., 0] = -torch.inf
            tokens = torch.where(occupied[row], logits.argmax(-1), 0)
        else:
            tokens = logits.argmax(-1)
        rows = torch.cat([rows, tokens[:, None]], dim=1)
        if row and not tokens.any():
            break
    return torch.nn.functional.pad(rows[0], (0, 0, 0, max_rows - rows.shape[1]))


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("batch", [1, 3])
def test_cached_tokens_are_those_of_the_whole_sequence_run_again(name: str, batch: int) -> None:
    model = tiny(**SWITCHES[name])
    prompt, drum = prompts(model, batch), drums(model, batch)
    made = generate(model, prompt, drum=drum)
    for i in range(batch):
        one = None if drum is None else drum[i : i + 1]
        assert torch.equal(made[i], slowly(model, prompt[i : i + 1], one, model.config.rows))


@pytest.mark.parametrize("seed", range(6))
def test_a_free_model_stops_where_the_slow_one_stops(seed: int) -> None:
    """A bias towards the empty token makes the requests of one batch end at different rows."""
    model = tiny(seed, structure="free")
    with torch.no_grad():
        model.head.bias.view(4, 31)[:, 0] += 9.0
        model.embed.weight *= 4
    prompt = prompts(model, 5, seed)
    made = generate(model, prompt, max_rows=25)
    stops = [layout.stop_step(r) for r in made]
    assert min(stops) < 25
    for i in range(5):
        assert torch.equal(made[i], slowly(model, prompt[i : i + 1], None, 25))


@pytest.mark.parametrize("max_rows", [1, 2, 5, 16])
@pytest.mark.parametrize("structure", ["free", "fixed"])
def test_a_row_limit_cuts_and_changes_nothing_before_it(max_rows: int, structure: str) -> None:
    model = tiny(structure=structure)
    prompt = prompts(model, 2)
    assert torch.equal(generate(model, prompt, max_rows=max_rows), generate(model, prompt)[:, :max_rows])


RULES = [
    Sampling(),
    Sampling(temperature=1.0, seed=4),
    Sampling(temperature=0.8, top_k=5, seed=4),
    Sampling(temperature=1.2, top_p=0.7, seed=9),
    Sampling(temperature=1.0, seed=2, guidance=2.0),
    Sampling(guidance=3.0),
]


@pytest.mark.parametrize("structure", ["free", "fixed"])
def test_a_request_gets_the_same_tokens_whatever_company_it_keeps(structure: str) -> None:
    model = tiny(structure=structure, aligned="also", excerpts=3)
    with torch.no_grad():
        model.head.bias.view(4, 31)[:, 0] += 3.0
    prompt = prompts(model, len(RULES))
    together = generate(model, prompt, RULES)
    for i, rule in enumerate(RULES):
        assert torch.equal(together[i : i + 1], generate(model, prompt[i : i + 1], [rule]))
    back = generate(model, prompt.flip(0), RULES[::-1])
    assert torch.equal(back.flip(0), together)


def test_one_rule_for_all_gives_each_request_its_own_seed() -> None:
    model = tiny()
    prompt = prompts(model, 1).expand(3, -1, -1)
    rule = Sampling(temperature=1.0, seed=5)
    made = generate(model, prompt, rule)
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[2:], generate(model, prompt[:1], dataclasses.replace(rule, seed=7)))


def test_guidance_of_one_is_no_guidance_and_more_of_it_moves_away_from_the_empty_prompt() -> None:
    model = tiny()
    prompt = prompts(model, 1)
    assert torch.equal(generate(model, prompt, Sampling(guidance=1.0)), generate(model, prompt))
    empty = slowly(model, torch.full_like(prompt, -1), None, model.config.rows)
    assert torch.equal(generate(model, prompt, Sampling(guidance=0.0))[0], empty)
    assert not torch.equal(generate(model, prompt, Sampling(guidance=4.0))[0], empty)


def test_a_fixed_model_says_a_code_in_every_cell_that_wants_one() -> None:
    model = tiny()
    made = generate(model, prompts(model, 4), Sampling(temperature=2.0))
    want = layout.occupied(12, 4)
    assert torch.equal(made > 0, want.expand_as(made))
    assert layout.one_shot_codes(made[0]).shape == (4, 12)


@pytest.mark.parametrize("around", ["fp32", "bf16"])
@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
@pytest.mark.parametrize("name", ["paper", "aligned-rotary"])
def test_lower_precisions_agree_with_full_precision_row_by_row(
    name: str, precision: str, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teacher-forced: the engine steps along the fp32 rows, so that one slip does not count many times.

    `around` is what the measurement says of products, which the prompt of fp16 and all else of int8 follow.
    """
    monkeypatch.setattr(engine, "choose_products", lambda *_: compute.Choice(format=around, why="measured"))
    torch.manual_seed(3)
    model = DoseModel(
        ModelConfig(layers=2, width=64, heads=4, codebooks=4, entries=30, frames=40, **SWITCHES[name])
    ).eval()
    with torch.no_grad():
        model.head.weight *= 10
    prompt = prompts(model, 2)
    rows = generate(model, prompt)
    with torch.no_grad():
        wanted = model(prompt, rows[:, :-1])
    got = teacher_forced(DecodingEngine(model, precision), prompt, rows)
    agree = (got.argmax(-1) == wanted.argmax(-1)).float().mean()
    assert agree > 0.95
    assert torch.nn.functional.cosine_similarity(got.flatten(), wanted.flatten(), dim=0) > 0.999


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        (torch.zeros(4, 21, dtype=torch.long), "must be"),
        (torch.zeros(1, 3, 21, dtype=torch.long), "must be"),
        (torch.full((1, 4, 21), 30), "0..29"),
        (torch.full((1, 4, 21), -1), "0..29"),
        (torch.zeros(1, 4, 0, dtype=torch.long), "some"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(prompt: torch.Tensor, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        generate(tiny(), prompt)


def test_a_shared_model_wants_to_know_the_drum() -> None:
    model = tiny(drums=("kick", "snare"))
    with pytest.raises(ValueError, match="drum"):
        generate(model, prompts(model, 1))
    kick, snare = (generate(model, prompts(model, 1), drum=torch.tensor([i])) for i in (0, 1))
    assert not torch.equal(kick, snare)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(
    "rule",
    [
        Sampling(temperature=1.0, top_p=0.95),
        Sampling(temperature=0.7, top_k=5),
        Sampling(temperature=1.0, top_k=50, top_p=0.5),
        Sampling(temperature=2.0),
    ],
    ids=str,
)
def test_codes_are_drawn_as_often_as_a_slow_cut_leaves_them_probability(scale: float, rule: Sampling) -> None:
    """Evenly spaced numbers in place of random ones: each code comes as often as its probability says,
    +-1."""
    numbers, v = 4000, 60
    logits = scale * torch.randn(v, generator=torch.Generator().manual_seed(0))
    uniform = (torch.arange(numbers) + 0.5)[:, None, None] / numbers
    tokens = draw(logits.expand(numbers, 1, v), [rule] * numbers, uniform)[:, 0]

    chances = (logits.double() / rule.temperature).softmax(dim=0)
    likely = chances.sort(descending=True).indices[: rule.top_k or None].tolist()
    among = chances[likely].sum()
    kept, total = [], 0.0
    for index in likely:
        if total >= rule.top_p:
            break
        kept.append(index)
        total += float(chances[index] / among)
    expected = torch.zeros(v).double()
    expected[kept] = numbers * chances[kept] / chances[kept].sum()
    assert (tokens.bincount(minlength=v) - expected).abs().max() <= 1


def test_a_code_of_no_probability_is_never_drawn() -> None:
    logits = torch.full((2, 1, 4), -torch.inf)
    logits[:, 0, 2] = 0.0
    tokens = draw(logits, [Sampling(temperature=1.0)] * 2, torch.tensor([0.0, 0.99999994])[:, None, None])
    assert tokens.tolist() == [[2], [2]]
