"""A project whose outside world is in memory: new sounds, faults, models that may be better."""

import datetime

from dose.retrain.config import RetrainConfig, Triggers
from dose.retrain.orchestrator import Orchestrator


class Killed(BaseException):
    """A kill -9: nothing catches it, nothing is written after it."""


class World:
    """Steps of a run with effects that can be counted, and faults that the test sets."""

    def __init__(self, root):
        self.root = root
        self.sounds, self.taken, self.params = 0, 0, "p1"
        self.better: tuple[str, ...] = ()  # drums whose challenger the gate will let through
        self.champions = {"kick": "v0", "snare": "v0", "hihat": "v0"}
        self.kill_in = self.kill_after = None
        self.fails: dict[str, Exception] = {}
        self.did: list[str] = []
        self.given_up: list[str] = []
        self.registered: set[str] = set()
        self.bentos: set[str] = set()
        self.reported_before_promotion: list[bool] = []

    def waiting(self):
        return self.sounds

    def key(self):
        return f"{self.taken + self.sounds}-{self.params}"

    def do(self, phase, run, folder):
        self.did.append(phase)
        if phase in self.fails:
            raise self.fails[phase]
        if self.kill_in == phase:
            self.kill_in = None
            self._effect(phase, run, folder)  # its effect is out, its result was never written down
            raise Killed
        return self._effect(phase, run, folder)

    def give_up(self, run):
        self.given_up.append(run.id)

    def _effect(self, phase, run, folder):
        if phase == "intake":
            self.taken, self.sounds = self.taken + self.sounds, 0
            return {"clips": self.taken}
        if phase == "evaluate":
            self.registered.add(run.id)
        if phase == "gate":
            evidence = {"spectral": {"value": 0.06, "sure": 0.02, "held": 0.03, "n": 9}}
            return {
                "verdicts": {
                    d: {
                        "promote": d in self.better,
                        "evidence": evidence,
                        "reasons": [] if d in self.better else ["No <b>better</b>."],
                    }
                    for d in self.champions
                }
            }
        if phase == "promote":
            self.reported_before_promotion.append((folder / "report.md").is_file())
            drums = [d for d, v in run.done["gate"]["verdicts"].items() if v["promote"]]
            self.champions |= dict.fromkeys(drums, run.id)
            return {"drums": drums}
        if phase == "bento" and run.promoted:
            self.bentos.add(run.id)
        return {}


class Calendar:
    """The world with a clock: `go(day, hour)` is one start of the job, as cron would do it each hour."""

    def __init__(self, root, **config):
        self.world = World(root)
        self.now = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)  # a Monday
        self.free = 100 * 10**9
        self.config = RetrainConfig(triggers=Triggers(cron="0 3 * * 1", new_clips=20), **config)
        self.home = root / "retrain"

    def job(self):
        return Orchestrator(
            self.config, self.world, self.home, clock=lambda: self.now, free=lambda: self.free
        )

    def at(self, day, hour=0):
        """Day 0 is the first Monday."""
        self.now = datetime.datetime(2026, 3, 2, hour, tzinfo=datetime.UTC) + datetime.timedelta(days=day)
        return self

    def go(self, force=None):
        return self.job().start(force=force)

    def reports(self):
        return sorted(p.parent.name for p in self.home.glob("runs/*/report.html"))
