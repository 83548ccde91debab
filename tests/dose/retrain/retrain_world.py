"""A simulated project for the orchestrator: its sounds, faults and models are in memory."""

import datetime

from dose.retrain.config import RetrainConfig, Triggers
from dose.retrain.orchestrator import Orchestrator


class Killed(BaseException):
    """Simulates SIGKILL: no handler catches it, and nothing is written after it."""


class SimulatedSteps:
    """Steps with effects that a test can count, and faults that it sets."""

    def __init__(self, root):
        self.root = root
        self.sounds, self.ingested, self.params = 0, 0, "p1"
        self.better: tuple[str, ...] = ()  # drums whose challenger passes the gate
        self.champions = {"kick": "v0", "snare": "v0", "hihat": "v0"}
        self.kill_in = self.kill_after = None
        self.fails: dict[str, Exception] = {}
        self.phases: list[str] = []
        self.abandoned: list[str] = []
        self.registered: set[str] = set()
        self.bentos: set[str] = set()
        self.reported_before_promotion: list[bool] = []

    def new_sounds(self):
        return self.sounds

    def data_key(self):
        return f"{self.ingested + self.sounds}-{self.params}"

    def run_phase(self, phase, run, folder):
        self.phases.append(phase)
        if phase in self.fails:
            raise self.fails[phase]
        if self.kill_in == phase:
            self.kill_in = None
            self._effect(phase, run, folder)  # its effect is visible, its result is not written
            raise Killed
        return self._effect(phase, run, folder)

    def abandon(self, run):
        self.abandoned.append(run.id)

    def _effect(self, phase, run, folder):
        if phase == "ingest":
            self.ingested, self.sounds = self.ingested + self.sounds, 0
            return {"clips": self.ingested}
        if phase == "evaluate":
            self.registered.add(run.id)
        if phase == "gate":
            bounds = {"superiority_bound": 0.02, "non_inferiority_bound": 0.03}
            evidence = {"spectral": {"improvement": 0.06, **bounds, "items": 9}}
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
    """The simulated project with a clock: `at(day, hour).go()` is one start, as cron does it every hour."""

    def __init__(self, root, **config):
        self.steps = SimulatedSteps(root)
        self.now = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)  # a Monday
        self.free_bytes = 100 * 10**9
        self.config = RetrainConfig(triggers=Triggers(cron="0 3 * * 1", new_clips=20), **config)
        self.home = root / "retrain"

    def orchestrator(self):
        return Orchestrator(
            self.config, self.steps, self.home, clock=lambda: self.now, free_bytes=lambda: self.free_bytes
        )

    def at(self, day, hour=0):
        """Day 0 is the first Monday."""
        self.now = datetime.datetime(2026, 3, 2, hour, tzinfo=datetime.UTC) + datetime.timedelta(days=day)
        return self

    def go(self, force=None):
        return self.orchestrator().start(force=force)

    def reports(self):
        return sorted(p.parent.name for p in self.home.glob("runs/*/report.html"))
