"""The cluster files against the schemas that their readers hold them to, and against this project."""

import copy
import json
from importlib import metadata
from pathlib import Path

import jsonschema
import pytest
import ray.autoscaler
import yaml

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "deploy" / "ray"
RAYJOB = json.loads((Path(__file__).parent / "schemas" / "rayjob.json").read_text())
CLUSTER = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())


def load(name):
    return list(yaml.safe_load_all((FILES / name).read_text()))


def test_the_ray_cluster_file_fits_rays_own_schema():
    (cluster,) = load("ray-cluster.yaml")
    jsonschema.validate(cluster, CLUSTER)
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    assert types["gpu"]["resources"]["GPU"] * types["gpu"]["max_workers"] == 8
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert cluster["max_workers"] >= types["gpu"]["max_workers"]


def test_the_rayjob_fits_the_custom_resource():
    (job,) = load("rayjob.yaml")
    jsonschema.validate(job, RAYJOB)
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    gpus = workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert int(gpus) * workers["maxReplicas"] == 8
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == metadata.version("ray")
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]["RAY_ADDRESS"] == "auto"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "misspelt"),
        (("spec", "backoffLimit"), "three"),
        (("spec", "submissionMode"), "Carrier pigeon"),
        (("spec", "rayClusterSpec", "autoscalerOptions", "upscalingMode"), "fast"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "password"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 2),
    ],
)
def test_the_schema_refuses_what_the_operator_would(path, value):
    (job,) = load("rayjob.yaml")
    job = copy.deepcopy(job)
    place = job
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, RAYJOB)


def test_what_the_job_mounts_and_reads_is_what_shared_yaml_makes():
    (job,) = load("rayjob.yaml")
    made = {(d["kind"], d["metadata"]["name"]): d for d in load("shared.yaml")}
    cluster = job["spec"]["rayClusterSpec"]
    pods = [g["template"]["spec"] for g in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for pod in pods:
        volumes = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]}
        for container in pod["containers"]:
            assert {m["name"] for m in container["volumeMounts"]} <= set(volumes)
        assert all(("PersistentVolumeClaim", claim) in made for claim in volumes.values())
    assert made["PersistentVolumeClaim", "dose-shared"]["spec"]["accessModes"] == ["ReadWriteMany"]
    uri = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]["MLFLOW_TRACKING_URI"]
    port = made["Service", "mlflow"]["spec"]["ports"][0]["port"]
    assert uri == f"http://mlflow.default.svc:{port}"


def test_every_machine_asks_for_the_token_and_no_dashboard_is_public():
    (job,) = load("rayjob.yaml")
    cluster = job["spec"]["rayClusterSpec"]
    # Set by hand in the containers, the operator and its submitter would not know the token.
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert not cluster["headGroupSpec"].get("enableIngress")
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert "env" not in group["template"]["spec"]["containers"][0]
    (ray_up,) = load("ray-cluster.yaml")
    options = ray_up["docker"]["run_options"]
    assert "-e RAY_AUTH_MODE=token" in options
    assert any(option.startswith("-e RAY_AUTH_TOKEN_PATH=/shared/") for option in options)
    starts = [c for c in ray_up["head_start_ray_commands"] if c.startswith("ray start")]
    assert starts
    assert all("--dashboard-host=127.0.0.1" in command for command in starts)
    services = [d for d in load("shared.yaml") if d["kind"] == "Service"]
    assert [s["spec"]["type"] for s in services] == ["ClusterIP"]


def test_every_machine_runs_the_code_of_the_shared_checkout():
    """Issue 21, 1: the image holds a dose too, of the day on which it was built."""
    (job,) = load("rayjob.yaml")
    (ray_up,) = load("ray-cluster.yaml")
    assert job["spec"]["entrypoint"].startswith("cd /shared/dose/project && ")
    variables = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert variables["PYTHONPATH"] == "/shared/dose/project/src"
    assert "-e PYTHONPATH=/shared/dose/project/src" in ray_up["docker"]["run_options"]
