"""What `dose retrain --status` prints: what waits, what would start a run, and what would stop it."""

import datetime
from pathlib import Path

from croniter import croniter

from dose.errors import DoseError
from dose.retrain import ingestion, run_state
from dose.retrain.orchestrator import Orchestrator
from dose.retrain.triggers import due


def describe(orchestrator: Orchestrator, watched: Path) -> list[str]:
    """Sentences on a start now, with new sounds in the folder `watched`; starts nothing."""
    triggers, inputs = orchestrator.config.triggers, orchestrator.trigger_inputs()
    lines = []
    run = run_state.read_run(orchestrator.home)
    if run is not None:
        lines.append(f"Run {run.id} is unfinished at {run.next or 'its end'}; the next start resumes it.")
    # 1. New sounds, and their licence, without which nothing is ingested.
    waiting = inputs.new_clips
    enough = f"; {triggers.new_clips} start a run" if triggers.new_clips is not None else ""
    lines.append(f"{waiting} {'sound waits' if waiting == 1 else 'sounds wait'} in {watched}{enough}.")
    if waiting:
        try:
            licence = ingestion.read_licence(watched / ingestion.LICENCE)
            lines.append(f"Their licence is {licence.licence}, their author {licence.author}.")
        except DoseError as e:
            lines.append(f"Nothing can be ingested: {e}")
    # 2. The next time; one that has passed is among the causes.
    if triggers.cron is not None:
        time = croniter(triggers.cron, inputs.now).get_next(datetime.datetime)
        lines.append(f"The next time of the schedule is {time:%Y-%m-%d %H:%M} UTC ({triggers.cron}).")
    # 3. What would start a run now.
    return [*lines, *(due(triggers, inputs) or ["No trigger fires."])]
