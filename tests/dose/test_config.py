import dataclasses
from typing import ClassVar, Literal

import pytest
import yaml

from dose import config
from dose.errors import ConfigError, MissingInputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not lie above high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    count: int = 3
    rate: float = 1.0
    mode: Literal["fast", "exact"] = "fast"
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    inner: Inner = Inner()
    limit: int | None = None
    table: dict[str, Inner] = dataclasses.field(default_factory=dict)
    on: bool = True


GOOD = {
    "count": 5,
    "rate": 2,
    "mode": "exact",
    "names": ["a", "b"],
    "pair": [1, 2.5],
    "inner": {"low": 0, "high": 3},
    "limit": None,
    "table": {"x": {"low": 1, "high": 2}},
    "on": False,
}


def test_a_full_section_is_parsed_into_its_types():
    got = config.parse(Section, GOOD, "params.yaml: s")
    assert got == Section(
        count=5,
        rate=2.0,
        mode="exact",
        names=("a", "b"),
        pair=(1.0, 2.5),
        inner=Inner(low=0.0, high=3.0),
        limit=None,
        table={"x": Inner(low=1.0, high=2.0)},
        on=False,
    )
    assert isinstance(got.rate, float)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_missing_key_is_named_even_when_it_has_a_default(key):
    with pytest.raises(ConfigError, match=f"lacks keys: {key}"):
        config.parse(Section, {k: v for k, v in GOOD.items() if k != key}, "params.yaml: s")


def test_a_typo_is_named_with_the_known_keys():
    with pytest.raises(ConfigError, match="unknown keys: cuont"):
        config.parse(Section, GOOD | {"cuont": 1}, "params.yaml: s")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("count", 2.5, "s.count must be a whole number"),
        ("count", True, "s.count must be a whole number"),
        ("rate", "x", "s.rate must be a number"),
        ("mode", "slow", "s.mode must be one of 'fast', 'exact'"),
        ("names", "ab", "s.names must be a list"),
        ("names", [1], r"s.names\[0\] must be a text"),
        ("pair", [1], "s.pair must have 2 entries"),
        ("inner", 3, "s.inner must be a mapping"),
        ("inner", {"low": 2, "high": 1}, "s.inner: low must not lie above high"),
        ("inner", {"low": 2, "hihg": 1, "high": 3}, "s.inner has unknown keys: hihg"),
        ("table", {"x": {"low": 1}}, "s.table.x lacks keys: high"),
        ("on", 1, "s.on must be true or false"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(key, value, says):
    with pytest.raises(ConfigError, match=says):
        config.parse(Section, GOOD | {key: value}, "params.yaml: s")


def test_load_reads_one_section_of_a_file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"s": GOOD, "other": {}}))
    assert config.load("s", Section, path).count == 5
    with pytest.raises(ConfigError, match="no section 'absent'"):
        config.load("absent", Section, path)


def test_absent_and_broken_files_are_one_sentence(tmp_path):
    with pytest.raises(MissingInputError, match="root folder"):
        config.load("s", Section, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("s: [1, 2\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        config.load("s", Section, tmp_path / "params.yaml")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Renamed:
    REMOVED: ClassVar[dict[str, config.Removed]] = {"drums": config.Removed((), "models have one drum")}

    size: int = dataclasses.field(default=4, metadata=config.was("entries"))
    modes: tuple[Literal["new", "same"], ...] = dataclasses.field(
        default=("same",), metadata=config.was(values={"old": "new"})
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Renamed = dataclasses.field(default=Renamed(), metadata=config.was("nested"))


@pytest.fixture
def announced(monkeypatch):
    """Logged renames start anew, whatever ran before."""
    monkeypatch.setattr(config, "_announced", set())


@pytest.mark.usefixtures("announced")
def test_old_keys_and_values_are_read_and_logged_once(caplog):
    old = {"nested": {"entries": 8, "modes": ["old", "same"], "drums": []}}
    new = Outer(inner=Renamed(size=8, modes=("new", "same")))
    assert config.parse(Outer, old, "p") == new
    assert config.parse(Outer, old, "p") == new
    assert [r.message for r in caplog.records] == [
        "p.nested is called inner now (still accepted for one release).",
        "p.inner.entries is called size now (still accepted for one release).",
        "p.inner.modes: old is called new now (still accepted for one release).",
        "p.inner.drums has no effect any more (still accepted for one release).",
    ]


@pytest.mark.usefixtures("announced")
def test_stored_files_with_old_names_are_read_without_a_word(caplog):
    assert config.parse(Renamed, {"entries": 1, "modes": ["old"]}, "p", announce=False).modes == ("new",)
    assert not caplog.records


def test_an_old_key_beside_the_new_one_is_an_error():
    with pytest.raises(
        ConfigError, match="p has both size and entries, which is its old name; remove entries"
    ):
        config.parse(Renamed, {"entries": 1, "size": 1, "modes": []}, "p")


def test_a_removed_key_with_an_effect_is_one_sentence():
    with pytest.raises(ConfigError, match=r"p.drums must be removed, or \(\): models have one drum\."):
        config.parse(Renamed, {"size": 1, "modes": [], "drums": ["kick", "snare"]}, "p")


@pytest.mark.parametrize(
    ("old", "value", "new", "renewed"),
    [
        ("nested.entries", 8, "inner.size", 8),
        ("inner.modes", ["old"], "inner.modes", ["new"]),
        ("inner.drums", [], "", None),
        ("inner.absent", 1, "inner.absent", 1),
        ("absent.size", 1, "absent.size", 1),
    ],
)
def test_a_dotted_key_is_brought_up_to_date(old, value, new, renewed):
    assert config.current(Outer, old, value, "p") == (new, renewed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other:
    modes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Either:
    one: Renamed | Other


@pytest.mark.usefixtures("announced")
def test_renames_of_an_alternative_that_does_not_fit_are_not_logged(caplog):
    assert config.parse(Either, {"one": {"entries": 8, "modes": ["old"]}}, "p").one == Renamed(
        size=8, modes=("new",)
    )
    assert len(caplog.records) == 2
    caplog.clear()
    assert config.parse(Either, {"one": {"modes": ["old"]}}, "q").one == Other(modes=("old",))
    assert not caplog.records


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithOptional:
    shown: int
    hidden: int = dataclasses.field(default=3, metadata=config.optional())


def test_an_optional_key_may_be_left_out():
    assert config.parse(WithOptional, {"shown": 1}, "p").hidden == 3
    assert config.parse(WithOptional, {"shown": 1, "hidden": 2}, "p").hidden == 2
    with pytest.raises(ConfigError, match="p lacks keys: shown"):
        config.parse(WithOptional, {"hidden": 2}, "p")
