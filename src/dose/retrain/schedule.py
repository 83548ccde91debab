"""The retraining schedule for cron, systemd, Kubernetes, KubeRay and GitHub Actions.

Each target is a template file below `deploy/`; this module chooses the cron expression and fills it in. With
the cron trigger alone the target starts `dose retrain` at that time, with any other trigger once an hour: the
command itself evaluates the triggers.
"""

import math
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from string import Template

import yaml

from dose.errors import ConfigError, MissingInputError
from dose.retrain.config import RetrainConfig, Triggers
from dose.sweep.config import Resources

HOURLY = "17 * * * *"  # not on the full hour, when most scheduled jobs start
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # cron counts Sunday as 0 and as 7

# The templates belong to a checkout of the project, as the retraining job does, and not to the wheel.
DEPLOY = Path(__file__).parents[3] / "deploy"
TEMPLATES = {
    "cron": ("cron/dose-retrain",),
    "systemd": ("systemd/dose-retrain.service", "systemd/dose-retrain.timer"),
    "k8s": ("kubernetes/retrain-cronjob.yaml",),
    "rayjob": ("ray/retrain-rayjob.yaml",),
    "raycronjob": ("ray/retrain-raycronjob.yaml",),
    "github": ("github/retrain.yml",),
}
# Parts of these templates that are left out where trials ask for no GPU: the line `$name`.
BLOCKS = {"gpu_limits": "kubernetes/retrain-gpu-limits.yaml", "gpu_workers": "ray/retrain-gpu-workers.yaml"}
MOST_WORKERS = 8  # where the params do not bound the trials at a time
WORKER_MEMORY_GIB = 28  # where the params reserve none: that of a common machine with one GPU


def cron_expression(triggers: Triggers) -> str:
    """The times at which to start the job. Raises ConfigError when every trigger is off."""
    others = (triggers.new_clips, triggers.drift, triggers.confidence_fall, triggers.rerolls)
    # The other triggers have no time of their own: the job must start often enough to evaluate them.
    if any(trigger is not None for trigger in others):
        return HOURLY
    if triggers.cron is None:
        raise ConfigError("params.yaml: retrain.triggers are all off; there is nothing to schedule.")
    return triggers.cron


def render(
    target: str,
    config: RetrainConfig,
    root: Path,
    resources: Resources | None = None,
    deploy: Path = DEPLOY,
) -> str:
    """The text of the file(s) of one of TEMPLATES; `root` is the project's folder on the scheduling machine.

    `resources` are those of a trial: with GPUs the Kubernetes targets ask for machines that have them.
    Raises MissingInputError without a checkout, ConfigError where the target cannot express the schedule.
    """
    schedule = cron_expression(config.triggers)
    if target == "cron":
        # cron reads an unescaped % as the end of the line.
        values = {"schedule": schedule, "root": shlex.quote(str(root)).replace("%", r"\%")}
    elif target == "systemd":
        lines = [f"OnCalendar={calendar}" for calendar in systemd_calendars(schedule)]
        values = {"calendar": "\n".join(lines), "root": _systemd_path(root)}
    else:
        named = {
            "schedule": schedule,
            "image": config.image,
            "claim": config.claim,
            "tracking_uri": config.tracking_uri,
        }
        values = {name: _yaml_scalar(value) for name, value in named.items()}
        values |= _gpu_values(resources) if resources and resources.gpus else {}
    return "\n".join(_fill(deploy, name, values) for name in TEMPLATES[target])


def _gpu_values(resources: Resources) -> dict[str, str]:
    """Sizes of the machines for trials with GPUs: one machine holds all processes of a trial."""
    r = resources
    return {
        "workers": str(r.parallel or MOST_WORKERS),
        "gpus": str(math.ceil(r.gpus * r.processes)),
        "cpus": str(math.ceil(r.cpus * r.processes)),
        "memory": str(math.ceil(r.memory_gib * r.processes) or WORKER_MEMORY_GIB),
        # Of a single pod: for the trials at a time; where they are not bounded, for one.
        "all_gpus": str(math.ceil(r.gpus * r.processes * max(r.parallel, 1))),
    }


def _fill(deploy: Path, name: str, values: Mapping[str, str]) -> str:
    """The template with its values; of BLOCKS those that there are values for, each at its line's indent."""
    lines = []
    for line in _read(deploy / name).splitlines(keepends=True):
        block = BLOCKS.get(line.strip().removeprefix("$"))
        if block is None:
            lines.append(line)
        elif "gpus" in values:
            lines.append(textwrap.indent(_read(deploy / block), line[: line.index("$")]))
    return Template("".join(lines)).substitute(values)


def _read(path: Path) -> str:
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; `dose schedule` needs a checkout of the project.")
    return path.read_text()


def _yaml_scalar(value: str) -> str:
    """The string in YAML, quoted where a plain one would be read as something else."""
    return yaml.safe_dump(value, width=float("inf")).removesuffix("...\n").rstrip("\n")


def _systemd_path(root: Path) -> str:
    if any(c.isspace() for c in str(root)):
        raise ConfigError(f"systemd takes no folder with a space in it ({root}); move the project.")
    return str(root).replace("%", "%%")  # % begins a specifier


def systemd_calendars(cron: str) -> list[str]:
    """The OnCalendar values of a cron expression; two where cron matches day of month OR day of week."""
    minute, hour, day, month, weekday = cron.split()
    clock = f"{_field(hour)}:{_field(minute)}:00 UTC"
    months = _field(month)
    # systemd requires both day of week and date to match, cron one of them where both are given.
    by_day = f"*-{months}-{_field(day)} {clock}"
    if weekday == "*":
        return [by_day]
    by_weekday = f"{_weekdays(weekday)} *-{months}-* {clock}"
    return [by_weekday] if day == "*" else [by_day, by_weekday]


def _field(field: str) -> str:
    """`*/6`, `1-5`, `1,2` of cron as systemd writes them: `0/6`, `1..5`, `1,2`."""
    ranges = []
    for part in field.split(","):
        span, slash, step = part.partition("/")
        span = {"*": "0" if slash else "*"}.get(span, span).replace("-", "..")
        ranges.append(f"{span}/{step}" if slash else span)
    return ",".join(ranges)


def _weekdays(field: str) -> str:
    if "/" in field:
        raise ConfigError(f"systemd has no steps of weekdays ({field}); list them: 1,3,5.")
    names = []
    for part in field.split(","):
        ends = [DAYS[int(x)] if x.isdigit() else x.capitalize() for x in part.split("-")]
        names.append("..".join(ends))
    return ",".join(names)
