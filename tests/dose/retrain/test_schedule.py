"""Every rendered file against the parser or schema of its reader."""

import copy
import dataclasses
import datetime
import json
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import jsonschema
import pytest
import yaml
from croniter import croniter
from yamllint import linter
from yamllint.config import YamlLintConfig

from dose.errors import ConfigError, MissingInputError
from dose.retrain.config import RetrainConfig, Triggers
from dose.retrain.schedule import BLOCKS, DEPLOY, HOURLY, TEMPLATES, render, systemd_calendars
from dose.retrain.worktree import branch
from dose.sweep.config import Resources

HERE = Path(__file__).parent
ROOT = Path("/srv/dose")
ONLY_CRON = RetrainConfig(
    triggers=Triggers(cron="30 3 * * 1", new_clips=None, confidence_fall=None, rerolls=None)
)
RAYJOB = json.loads((HERE.parent.parent / "pipelines" / "schemas" / "rayjob.json").read_text())
SCHEMAS = {
    "k8s": json.loads((HERE / "schemas" / "kubernetes-cronjob.json").read_text()),
    "github": json.loads((HERE / "schemas" / "github-workflow.json").read_text()),
    "rayjob": RAYJOB,
    # A RayCronJob holds a schedule and what a RayJob's spec is.
    "raycronjob": {
        **RAYJOB,
        "properties": {
            **RAYJOB["properties"],
            "kind": {"const": "RayCronJob"},
            "spec": {
                "type": "object",
                "additionalProperties": False,
                "required": ["jobTemplate", "schedule"],
                "properties": {"schedule": {"type": "string"}, "jobTemplate": RAYJOB["properties"]["spec"]},
            },
        },
    },
}


class Yaml12(yaml.SafeLoader):
    """As GitHub reads it: in YAML 1.1 the key `on` would be true."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


GPUS = Resources(cpus=6, gpus=1, memory_gib=20, processes=2, parallel=3)  # a trial: two GPUs on one machine


def load(target, config=ONLY_CRON, resources=None):
    return yaml.load(render(target, config, ROOT, resources), Loader=Yaml12)


def cluster_of(target, **options):
    spec = load(target, **options)["spec"]
    return spec.get("jobTemplate", spec)["rayClusterSpec"]


def pod_of(target, **options):
    """The pod in which `dose retrain` runs."""
    if target == "k8s":
        return load(target, **options)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return cluster_of(target, **options)["headGroupSpec"]["template"]["spec"]


def fits(target, value):
    jsonschema.validate(value, SCHEMAS[target])


@pytest.mark.parametrize("resources", [None, GPUS])
@pytest.mark.parametrize("target", sorted(SCHEMAS))
def test_yaml_fits_its_readers_schema_and_the_linter(target, resources):
    fits(target, load(target, resources=resources))
    rules = YamlLintConfig(
        "{extends: default, rules: {truthy: {check-keys: false}, line-length: {max: 110}}}"
    )
    assert [str(p) for p in linter.run(render(target, ONLY_CRON, ROOT, resources), rules)] == []


@pytest.mark.parametrize(
    ("target", "path", "value"),
    [
        ("k8s", ("spec", "suspend"), "no"),
        ("k8s", ("spec", "scheduel"), "0 0 * * *"),
        ("github", ("on", "schedule"), [{"corn": "0 0 * * *"}]),
        ("github", ("jobs", "retrain", "step"), []),
        ("k8s", ("spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "volumeMount"), []),
        ("github", ("jobs", "retrain", "timeout-minutes"), "a day"),
        ("rayjob", ("spec", "entryPoint"), "x"),
        ("raycronjob", ("spec", "jobTemplate", "entryPoint"), "x"),
        ("raycronjob", ("spec", "cron"), "0 0 * * *"),
    ],
)
def test_the_schemas_reject_what_the_readers_would(target, path, value):
    whole = copy.deepcopy(load(target))
    node = whole
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        fits(target, whole)


def test_all_targets_start_at_the_cron_time():
    assert load("k8s")["spec"]["schedule"] == "30 3 * * 1"
    assert load("raycronjob")["spec"]["schedule"] == "30 3 * * 1"
    assert load("github")["on"]["schedule"] == [{"cron": "30 3 * * 1"}]
    assert "OnCalendar=Mon *-*-* 3:30:00 UTC\n" in render("systemd", ONLY_CRON, ROOT)
    zone, line = render("cron", ONLY_CRON, ROOT).splitlines()
    assert zone == "CRON_TZ=UTC"
    assert line.startswith("30 3 * * 1 cd /srv/dose && ")


def test_with_other_triggers_the_job_starts_every_hour():
    assert load("k8s", RetrainConfig())["spec"]["schedule"] == HOURLY
    off = Triggers(cron=None, new_clips=None, confidence_fall=None, rerolls=None)
    with pytest.raises(ConfigError, match="all off"):
        render("cron", RetrainConfig(triggers=off), ROOT)


def test_runs_never_overlap_and_ray_is_the_installed_one():
    job = load("k8s")["spec"]  # the API server checks these two values, its schema does not
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert load("github")["concurrency"] == {"group": "dose-retrain", "cancel-in-progress": False}
    assert load("rayjob")["spec"]["rayClusterSpec"]["rayVersion"] == metadata.version("ray")


def test_a_folder_with_special_characters():
    odd = render("cron", ONLY_CRON, Path("/srv/it's 100%"))
    assert r"""'/srv/it'"'"'s 100\%'""" in odd
    assert "/srv/100%%" in render("systemd", ONLY_CRON, Path("/srv/100%"))
    with pytest.raises(ConfigError, match="space"):
        render("systemd", ONLY_CRON, Path("/srv/my dose"))


CRONS = ["30 3 * * 1", HOURLY, "*/15 * * * *", "0 */6 1,15 * *", "0 4 1 * 1", "5 0 * 3-9 1-5", "0 0 * * 0"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
@pytest.mark.parametrize("cron", CRONS)
def test_systemd_reads_the_same_times_as_cron(cron):
    """The first five times after a fixed one, as systemd itself computes them."""
    start = datetime.datetime(2026, 3, 4, 12, 0, tzinfo=datetime.UTC)
    found = set()
    for calendar in systemd_calendars(cron):
        base = f"--base-time={start:%Y-%m-%d %H:%M} UTC"
        done = subprocess.run(
            ["systemd-analyze", "calendar", "--iterations=5", base, calendar],
            capture_output=True, text=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        stamps = [x.partition(": ")[2] for x in done.stdout.splitlines() if "Next elapse" in x or "Iter" in x]
        found |= {datetime.datetime.strptime(x[4:23], "%Y-%m-%d %H:%M:%S") for x in stamps}
    times = croniter(cron, start)
    wanted = [times.get_next(datetime.datetime).replace(tzinfo=None) for _ in range(5)]
    assert sorted(found)[:5] == wanted


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_verifies_the_units(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    dose = tmp_path / ".venv" / "bin" / "dose"
    dose.write_text("#!/bin/sh\n")
    dose.chmod(0o755)
    text = render("systemd", ONLY_CRON, tmp_path)
    _, service, timer = text.split("# dose-retrain.")
    for part in (service, timer):
        suffix, _, body = part.partition("\n")
        (tmp_path / f"dose-retrain.{suffix}").write_text(body)
    units = [str(tmp_path / f"dose-retrain.{x}") for x in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert "dose-retrain" not in done.stderr, done.stderr


def test_the_cron_job_on_ray_starts_the_same_job():
    assert load("raycronjob")["spec"]["jobTemplate"] == load("rayjob")["spec"]


@pytest.mark.parametrize("value", ["12", "true", "a: b", "*/15"])
def test_a_value_that_yaml_would_read_as_something_else_is_quoted(value):
    pod = load("k8s", dataclasses.replace(ONLY_CRON, claim=value))["spec"]["jobTemplate"]["spec"]["template"]
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == value


def test_every_template_is_used():
    named = {DEPLOY / name for names in (*TEMPLATES.values(), BLOCKS.values()) for name in names}
    assert named == {p for p in DEPLOY.rglob("*retrain*") if p.is_file()}


def test_without_a_checkout_there_are_no_templates(tmp_path):
    with pytest.raises(MissingInputError, match="needs a checkout"):
        render("cron", ONLY_CRON, ROOT, deploy=tmp_path)


def test_the_command_lists_every_target():
    from dose.commands import retrain

    assert set(retrain.TARGETS) == set(TEMPLATES)


@pytest.mark.parametrize("target", sorted(TEMPLATES))
def test_every_schedule_runs_the_code_of_its_checkout(target):
    """Issue 21, 1: an image or an environment may hold another dose than the checkout."""
    text = render(target, ONLY_CRON, ROOT)
    places = {
        "cron": "cd /srv/dose && PYTHONPATH=src ",
        "systemd": "Environment=PYTHONPATH=/srv/dose/src\n",
        "github": "PYTHONPATH: ${{ github.workspace }}/src",
    }
    if target in places:
        assert places[target] in text
        return
    project = "/shared/dose/project"
    if target == "k8s":
        pod = load("k8s")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["workingDir"] == project
        named = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    else:
        job = load(target)["spec"]
        job = job.get("jobTemplate", job)
        assert f"cd {project} &&" in job["entrypoint"]
        named = yaml.safe_load(job["runtimeEnvYAML"])["env_vars"]
    assert named["PYTHONPATH"] == f"{project}/src"


@pytest.mark.parametrize("target", ["k8s", "rayjob", "raycronjob"])
def test_a_job_in_kubernetes_logs_to_the_server_with_secrets_by_reference(target):
    """Issue 21, 8: runs went to a database on the pod's volume, beside the server that the sweeps use."""
    config = dataclasses.replace(ONLY_CRON, tracking_uri="http://mlflow.other.svc:80")
    container = pod_of(target, config=config)["containers"][0]
    if target == "k8s":
        named = {e["name"]: e["value"] for e in container["env"]}
    else:
        spec = load(target, config)["spec"]
        named = yaml.safe_load(spec.get("jobTemplate", spec)["runtimeEnvYAML"])["env_vars"]
    assert named["MLFLOW_TRACKING_URI"] == "http://mlflow.other.svc:80"
    secret = {"secretRef": {"name": "dose-secrets", "optional": True}}
    assert container["envFrom"] == [secret]
    (shared,) = [
        d for d in yaml.safe_load_all((DEPLOY / "ray/shared.yaml").read_text()) if d["kind"] == "Service"
    ]
    assert RetrainConfig().tracking_uri == f"http://{shared['metadata']['name']}.default.svc:5000"


def test_the_workflow_has_variables_and_secrets_of_its_repository_and_pushes_the_runs_branches():
    job = load("github")["jobs"]["retrain"]
    assert job["env"]["MLFLOW_TRACKING_URI"] == "${{ vars.MLFLOW_TRACKING_URI }}"
    assert job["env"]["MLFLOW_TRACKING_PASSWORD"] == "${{ secrets.MLFLOW_TRACKING_PASSWORD }}"
    commands = [step.get("run", "") for step in job["steps"]]
    at = commands.index(".venv/bin/dose retrain")
    assert commands[at + 1].startswith("git push origin ")
    assert branch("*") in commands[at + 1]
    assert load("github")["permissions"] == {"contents": "write"}


@pytest.mark.parametrize("target", ["rayjob", "raycronjob"])
def test_ray_gets_gpu_workers_when_trials_ask_for_them(target):
    """Issue 21, 8: a head alone, on which a trial with a GPU could never start."""
    assert "workerGroupSpecs" not in cluster_of(target)
    assert "workerGroupSpecs" not in cluster_of(target, resources=Resources(cpus=8))
    cluster = cluster_of(target, resources=GPUS)
    assert cluster["enableInTreeAutoscaling"]
    (group,) = cluster["workerGroupSpecs"]
    assert group["maxReplicas"] == 3
    (worker,) = group["template"]["spec"]["containers"]
    requests = worker["resources"]["requests"]
    assert requests == {"cpu": "12", "memory": "40Gi", "nvidia.com/gpu": "2"}
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert worker["image"] == head["containers"][0]["image"]
    assert group["template"]["spec"]["volumes"] == head["volumes"]


def test_a_single_pod_gets_gpus_for_the_trials_at_a_time():
    assert "limits" not in pod_of("k8s")["containers"][0]["resources"]
    container = pod_of("k8s", resources=GPUS)["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "6"}
    one = pod_of("k8s", resources=Resources(gpus=0.5))["containers"][0]
    assert one["resources"]["limits"] == {"nvidia.com/gpu": "1"}
