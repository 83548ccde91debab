"""Cached decoding against the model's own uncached forward pass, for every switch."""

import dataclasses

import pytest
import torch

from dose import compute
from dose.model import packed
from dose.model.config import ModelConfig
from dose.model.decode import generate, teacher_forced
from dose.model.engine import DecodingEngine
from dose.model.sampling import Sampling, sample
from dose.model.transformer import DoseModel
from dose.tokens import layout

SWITCHES = {
    "paper": {},
    "free": {"decoding": "unconstrained"},
    "rotary": {"positions": "rotary"},
    "bidirectional": {"prefix": "bidirectional"},
    "aligned": {"conditioning": "prefix_aligned", "segments": 3},
    "aligned-rotary": {"conditioning": "prefix_aligned", "segments": 3, "positions": "rotary"},
    "aligned-free": {"conditioning": "prefix_aligned", "segments": 3, "decoding": "unconstrained"},
    "aligned-only": {"conditioning": "aligned", "segments": 3, "positions": "rotary"},
    "aligned-only-free": {"conditioning": "aligned", "segments": 3, "decoding": "unconstrained"},
    "parallel": {"pattern": "parallel"},
}


def tiny(seed: int = 0, **switches: object) -> DoseModel:
    """A model whose logits are far apart, so that rounding cannot decide."""
    torch.manual_seed(seed)
    config = ModelConfig(
        layers=2, width=32, heads=4, dropout=0.1, codebooks=4, codebook_size=30, frames=12, **switches
    )
    model = DoseModel(config).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


def prompts(model: DoseModel, batch: int, seed: int = 1, frames: int = 21) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(model.config.codebook_size, (batch, model.config.codebooks, frames), generator=g)


@torch.no_grad()
def uncached(model: DoseModel, prompt: torch.Tensor, max_steps: int) -> torch.Tensor:
    """Greedy decoding of one request without a cache: the whole sequence again for each step."""
    c = model.config
    tokens = torch.zeros(1, 0, c.codebooks, dtype=torch.long)
    occupied = layout.occupied(c.frames, c.codebooks, c.pattern)
    for step in range(max_steps):
        logits = model(prompt, tokens, last=1)[:, -1]
        if c.decoding == "constrained":
            logits[..., 0] = -torch.inf
            now = torch.where(occupied[step], logits.argmax(-1), 0)
        else:
            now = logits.argmax(-1)
        tokens = torch.cat([tokens, now[:, None]], dim=1)
        if step and not now.any():
            break
    return torch.nn.functional.pad(tokens[0], (0, 0, 0, max_steps - tokens.shape[1]))


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("batch", [1, 3])
def test_cached_tokens_are_those_of_the_whole_sequence_run_again(name: str, batch: int) -> None:
    model = tiny(**SWITCHES[name])
    prompt = prompts(model, batch)
    made = generate(model, prompt)
    for i in range(batch):
        assert torch.equal(made[i], uncached(model, prompt[i : i + 1], model.config.steps))


@pytest.mark.parametrize("seed", range(6))
def test_unconstrained_decoding_stops_where_the_uncached_does(seed: int) -> None:
    """A bias towards the empty token makes the requests of one batch end at different steps."""
    model = tiny(seed, decoding="unconstrained")
    with torch.no_grad():
        model.head.bias.view(4, 31)[:, 0] += 9.0
        model.embed.weight *= 4
    prompt = prompts(model, 5, seed)
    made = generate(model, prompt, max_steps=25)
    stops = [layout.stop_step(r) for r in made]
    assert min(stops) < 25
    for i in range(5):
        assert torch.equal(made[i], uncached(model, prompt[i : i + 1], 25))


@pytest.mark.parametrize("max_steps", [1, 2, 5, 16])
@pytest.mark.parametrize("decoding", ["unconstrained", "constrained"])
def test_a_step_limit_cuts_and_changes_nothing_before_it(max_steps: int, decoding: str) -> None:
    model = tiny(decoding=decoding)
    prompt = prompts(model, 2)
    assert torch.equal(generate(model, prompt, max_steps=max_steps), generate(model, prompt)[:, :max_steps])


RULES = [
    Sampling(),
    Sampling(temperature=1.0, seed=4),
    Sampling(temperature=0.8, top_k=5, seed=4),
    Sampling(temperature=1.2, top_p=0.7, seed=9),
    Sampling(temperature=1.0, seed=2),
]


@pytest.mark.parametrize("decoding", ["unconstrained", "constrained"])
def test_a_request_gets_the_same_tokens_in_any_batch(decoding: str) -> None:
    model = tiny(decoding=decoding, conditioning="prefix_aligned", segments=3)
    with torch.no_grad():
        model.head.bias.view(4, 31)[:, 0] += 3.0
    prompt = prompts(model, len(RULES))
    batched = generate(model, prompt, RULES)
    for i, rule in enumerate(RULES):
        assert torch.equal(batched[i : i + 1], generate(model, prompt[i : i + 1], [rule]))
    reversed_batch = generate(model, prompt.flip(0), RULES[::-1])
    assert torch.equal(reversed_batch.flip(0), batched)


def test_one_rule_for_all_gives_each_request_its_own_seed() -> None:
    model = tiny()
    prompt = prompts(model, 1).expand(3, -1, -1)
    rule = Sampling(temperature=1.0, seed=5)
    made = generate(model, prompt, rule)
    assert not torch.equal(made[0], made[1])
    assert torch.equal(made[2:], generate(model, prompt[:1], dataclasses.replace(rule, seed=7)))


def test_constrained_decoding_fills_exactly_the_positions_that_hold_a_code() -> None:
    model = tiny()
    made = generate(model, prompts(model, 4), Sampling(temperature=2.0))
    occupied = layout.occupied(12, 4)
    assert torch.equal(made > 0, occupied.expand_as(made))
    assert layout.one_shot_codes(made[0]).shape == (4, 12)


@pytest.mark.parametrize("around", ["fp32", "bf16"])
@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
@pytest.mark.parametrize("name", ["paper", "aligned-rotary"])
def test_lower_precisions_agree_with_full_precision_step_by_step(
    name: str, precision: str, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teacher-forced along the fp32 tokens, so that one difference does not count many times.

    `around` is the format measured as the fastest for products: of fp16's prompt, and of all else of int8.
    """
    monkeypatch.setattr(packed, "choose_products", lambda *_: compute.Choice(format=around, why="measured"))
    torch.manual_seed(3)
    model = DoseModel(
        ModelConfig(layers=2, width=64, heads=4, codebooks=4, codebook_size=30, frames=40, **SWITCHES[name])
    ).eval()
    with torch.no_grad():
        model.head.weight *= 10
    prompt = prompts(model, 2)
    tokens = generate(model, prompt)
    with torch.no_grad():
        wanted = model(prompt, tokens[:, :-1])
    got = teacher_forced(DecodingEngine(model, precision), prompt, tokens)
    agreement = (got.argmax(-1) == wanted.argmax(-1)).float().mean()
    assert agreement > 0.95
    assert torch.nn.functional.cosine_similarity(got.flatten(), wanted.flatten(), dim=0) > 0.999


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        (torch.zeros(4, 21, dtype=torch.long), "must be"),
        (torch.zeros(21, 4, dtype=torch.long), "must be"),
        (torch.zeros(1, 3, 21, dtype=torch.long), "must be"),
        (torch.full((1, 4, 21), 30), "0..29"),
        (torch.full((1, 4, 21), -1), "0..29"),
        (torch.zeros(1, 4, 0, dtype=torch.long), "some"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(prompt: torch.Tensor, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        generate(tiny(), prompt)


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
def test_codes_are_sampled_with_their_probability_after_a_slow_cut(scale: float, rule: Sampling) -> None:
    """With evenly spaced instead of random numbers each code's count is its probability's share, +-1."""
    numbers, v = 4000, 60
    logits = scale * torch.randn(v, generator=torch.Generator().manual_seed(0))
    uniform = (torch.arange(numbers) + 0.5)[:, None, None] / numbers
    tokens = sample(logits.expand(numbers, 1, v), [rule] * numbers, uniform)[:, 0]

    probability = (logits.double() / rule.temperature).softmax(dim=0)
    likely = probability.sort(descending=True).indices[: rule.top_k or None].tolist()
    among = probability[likely].sum()
    kept, total = [], 0.0
    for index in likely:
        if total >= rule.top_p:
            break
        kept.append(index)
        total += float(probability[index] / among)
    expected = torch.zeros(v).double()
    expected[kept] = numbers * probability[kept] / probability[kept].sum()
    assert (tokens.bincount(minlength=v) - expected).abs().max() <= 1


def test_a_code_without_probability_is_never_sampled() -> None:
    logits = torch.full((2, 1, 4), -torch.inf)
    logits[:, 0, 2] = 0.0
    tokens = sample(logits, [Sampling(temperature=1.0)] * 2, torch.tensor([0.0, 0.99999994])[:, None, None])
    assert tokens.tolist() == [[2], [2]]


def test_top_p_drops_what_is_not_needed_to_reach_it() -> None:
    """Probabilities 1/2, 1/4 and 1/4: the first two reach 0.75 exactly."""
    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    uniform = (torch.arange(300) + 0.5)[:, None, None] / 300
    tokens = sample(logits.expand(300, 1, 3), [Sampling(temperature=1.0, top_p=0.75)] * 300, uniform)
    assert tokens[:, 0].bincount(minlength=3).tolist() == [200, 100, 0]


def test_a_random_number_that_rounds_to_one_gives_the_last_code() -> None:
    # Of the mass 3, 1 is dropped: 1 + 0.99999994 * 2 is 3 in float32.
    tokens = sample(
        torch.zeros(1, 1, 3), [Sampling(temperature=1.0, top_p=0.6)], torch.full((1, 1, 1), 0.99999994)
    )
    assert tokens.tolist() == [[0]]  # the first of three codes of equal value


@pytest.mark.parametrize(
    "wrong", [{"temperature": -0.1}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.01}], ids=str
)
def test_a_rule_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)
