"""The same schedule for whatever starts jobs here: cron, systemd, Kubernetes, KubeRay, GitHub Actions.

With only the cron trigger on, the target starts `dose retrain` at that time; with any other on, once an hour.
The job itself decides whether a trigger asks for a run.
"""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dose.errors import ConfigError
from dose.retrain.config import RetrainConfig, Triggers

HOURLY = "17 * * * *"  # not on the hour, where everyone else starts
SHARED = "/shared/dose/project"  # where the claim holds the project
RAY_VERSION = "2.60.0"
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def look_at(triggers: Triggers) -> str:
    """The cron expression to start by. Raises ConfigError when no trigger is on."""
    others = (triggers.new_clips, triggers.drift, triggers.confidence_fall, triggers.rerolls)
    if any(trigger is not None for trigger in others):
        return HOURLY
    if triggers.cron is None:
        raise ConfigError("params.yaml: retrain.triggers are all off; there is nothing to schedule.")
    return triggers.cron


def render(target: str, config: RetrainConfig, root: Path) -> str:
    """The file(s) for one of TARGETS, as text; `root` is the project's folder on the machine itself."""
    return TARGETS[target](config, look_at(config.triggers), root)


def _cron(config: RetrainConfig, when: str, root: Path) -> str:
    # cron takes % for a line's end
    command = f"cd {shlex.quote(str(root))} && .venv/bin/dose retrain >> data/retrain.log 2>&1"
    return f"CRON_TZ=UTC\n{when} {command.replace('%', chr(92) + '%')}\n"


def _systemd(config: RetrainConfig, when: str, root: Path) -> str:
    service = [
        "# dose-retrain.service",
        "[Unit]",
        "Description=DOSE retraining",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_specifier(root)}",
        f"ExecStart={_specifier(root)}/.venv/bin/dose retrain",
        "Nice=10",
        "",
    ]
    timer = [
        "# dose-retrain.timer",
        "[Unit]",
        "Description=DOSE retraining, when it is due",
        "",
        "[Timer]",
        *(f"OnCalendar={calendar}" for calendar in calendars(when)),
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join([*service, *timer]) + "\n"


def _specifier(root: Path) -> str:
    if any(c.isspace() for c in str(root)):
        raise ConfigError(f"systemd takes no folder with a space in it ({root}); move the project.")
    return str(root).replace("%", "%%")


def calendars(when: str) -> list[str]:
    """A cron expression as systemd's OnCalendar lines; two where cron means day of month OR day of week."""
    minute, hour, day, month, weekday = when.split()
    clock = f"{_field(hour)}:{_field(minute)}:00 UTC"
    months = _field(month)
    by_day = f"*-{months}-{_field(day)} {clock}"
    if weekday == "*":
        return [by_day]
    by_week = f"{_weekdays(weekday)} *-{months}-* {clock}"
    return [by_week] if day == "*" else [by_day, by_week]


def _field(field: str) -> str:
    """`*/6`, `1-5`, `1,2` of cron as systemd writes them."""
    parts = []
    for part in field.split(","):
        span, slash, step = part.partition("/")
        span = {"*": "0" if slash else "*"}.get(span, span).replace("-", "..")
        parts.append(f"{span}/{step}" if slash else span)
    return ",".join(parts)


def _weekdays(field: str) -> str:
    if "/" in field:
        raise ConfigError(f"systemd has no steps of weekdays ({field}); list them: 1,3,5.")
    named = []
    for part in field.split(","):
        ends = [DAYS[int(x)] if x.isdigit() else x.capitalize() for x in part.split("-")]
        named.append("..".join(ends))
    return ",".join(named)


def _kubernetes(config: RetrainConfig, when: str, root: Path) -> str:
    container = {
        "name": "retrain",
        "image": config.image,
        "workingDir": SHARED,
        "command": ["dose", "retrain"],
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": _volumes(config)}
    return _resource(
        "batch/v1",
        "CronJob",
        {
            "schedule": when,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            # Without retries: the next start goes on; the job counts its own attempts.
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    )


def _rayjob(config: RetrainConfig, when: str, root: Path) -> str:
    """A RayJob: one start with a Ray cluster of its own, made anew by whoever applies it."""
    return _resource("ray.io/v1", "RayJob", _ray_spec(config))


def _raycronjob(config: RetrainConfig, when: str, root: Path) -> str:
    """A RayCronJob: such a RayJob at every time; an alpha feature of KubeRay, behind its gate."""
    return _resource("ray.io/v1", "RayCronJob", {"schedule": when, "jobTemplate": _ray_spec(config)})


def _ray_spec(config: RetrainConfig) -> dict[str, Any]:
    container = {
        "name": "ray-head",
        "image": config.image,
        "resources": {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"cpu": "8", "memory": "32Gi"}},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    return {
        "entrypoint": f"cd {SHARED} && dose retrain",
        "submissionMode": "K8sJobMode",
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "runtimeEnvYAML": "env_vars:\n  RAY_ADDRESS: auto\n",
        "rayClusterSpec": {
            "rayVersion": RAY_VERSION,
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                "serviceType": "ClusterIP",
                "rayStartParams": {},
                "template": {"spec": {"containers": [container], "volumes": _volumes(config)}},
            },
        },
    }


def _github(config: RetrainConfig, when: str, root: Path) -> str:
    steps = [
        {"run": "make install"},
        {"run": ".venv/bin/dose retrain"},
        {
            "if": "always()",
            "uses": "actions/upload-artifact@v4",
            "with": {"name": "retrain", "path": "data/retrain/runs", "if-no-files-found": "ignore"},
        },
    ]
    return _yaml(
        {
            "name": "retrain",
            "on": {"schedule": [{"cron": when}], "workflow_dispatch": {}},
            "permissions": {"contents": "write"},
            "concurrency": {"group": "dose-retrain", "cancel-in-progress": False},
            "jobs": {
                "retrain": {
                    # Its own machine: models, lock and journal stay on its disk between starts.
                    "runs-on": ["self-hosted", "dose"],
                    "timeout-minutes": 1440,
                    "steps": [{"uses": "actions/checkout@v4", "with": {"clean": False}}, *steps],
                }
            },
        }
    )


def _volumes(config: RetrainConfig) -> list[dict[str, Any]]:
    return [{"name": "shared", "persistentVolumeClaim": {"claimName": config.claim}}]


def _resource(api: str, kind: str, spec: dict[str, Any]) -> str:
    """What Kubernetes calls an object, by the name that all of ours have."""
    return _yaml({"apiVersion": api, "kind": kind, "metadata": {"name": "dose-retrain"}, "spec": spec})


def _yaml(value: Any) -> str:
    return "---\n" + yaml.dump(value, Dumper=_Indented, sort_keys=False, width=100)


class _Indented(yaml.SafeDumper):
    """Lists indented below their key, as yamllint and people expect."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


TARGETS: dict[str, Callable[[RetrainConfig, str, Path], str]] = {
    "cron": _cron,
    "systemd": _systemd,
    "k8s": _kubernetes,
    "rayjob": _rayjob,
    "raycronjob": _raycronjob,
    "github": _github,
}
