"""The connection to Ray: the cluster that RAY_ADDRESS names, or an embedded one on this machine."""

import logging
import os
import secrets
import sys
from typing import Any

from dose.cluster.source import SOURCE
from dose.errors import DoseError

OBJECT_STORE_BYTES = 100 * 2**20  # near Ray's minimum; shards and trials pass nothing large through it
# Longest folder name under which Ray's sockets fit: its own part of their paths has up to 69 bytes, and the
# system accepts 107 (macOS 103).
SOCKET_FOLDER_BYTES = 34
# Loggers that warn of intended settings: a token in use, no result files of Tune's own.
VERBOSE_LOGGERS = (
    "ray._private.authentication.authentication_token_setup",
    "ray.tune.analysis.experiment_analysis",
)


def start_ray(*, cpus: float | None = None, gpus: float | None = None) -> bool:
    """Connects to the cluster that RAY_ADDRESS names, else starts an embedded one; False if already done.

    The embedded one listens on loopback with a token of its own, has no dashboard and a small object store,
    and ends with this process. A cluster needs RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (docs/cluster.md); its
    workers import `dose` from the driver's tree.
    Raises DoseError when the cluster cannot be reached.
    """
    address = os.environ.get("RAY_ADDRESS")
    if "ray" not in sys.modules:  # its C++ core reads these variables at import
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if address:
            os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of half a minute each, not 20
        else:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # makes Ray listen on loopback only
    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    import ray

    if ray.is_initialized():
        return False
    if address:
        # A job that was submitted has variables of its own, which Ray would not let a driver change.
        os.environ.setdefault("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
        try:
            ray.init(
                address=address,
                runtime_env={"env_vars": {"PYTHONPATH": str(SOURCE)}},  # before the image's own packages
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
        except (ConnectionError, RuntimeError) as e:
            raise DoseError(
                f"No Ray cluster answers at RAY_ADDRESS={address} ("
                f"{' '.join(str(e).split())[:200]}); "
                "start it, correct the address or its token, or unset RAY_ADDRESS to run on this machine."
            ) from e
        return True
    start_embedded(ray, cpus, gpus)
    return True


def start_embedded(ray: Any, cpus: float | None, gpus: float | None) -> None:
    """Starts Ray on this machine; `ray` is the module.

    Ray allows its own processes 30 s to start, which a busy machine may exceed: there are three tries.
    """
    folder = _short_folder()
    for last in (False, False, True):
        try:
            ray.init(
                address="local",
                _temp_dir=folder,
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
            return
        except Exception as e:  # Ray has no type of its own for it
            ray.shutdown()
            # Only a slow start is worth another try.
            if last or "startup" not in str(e):
                cause = " ".join(str(e).split())[:200]
                if isinstance(e, OSError):  # its folder: too long a name, no right to write, a full disk
                    advice = "set RAY_TMPDIR to a folder with a short path that can be written"
                else:
                    advice = "free some memory or processor time"
                raise DoseError(
                    f"Ray did not start on this machine ({cause}); {advice} and run the same command again."
                ) from e


def _short_folder() -> str | None:
    """A folder for Ray's sockets where the usual one would make their paths too long, else None."""
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(os.fsencode(usual)) <= SOCKET_FOLDER_BYTES or sys.platform == "win32":
        return None
    # One folder per user, as other users may run Ray too.
    for short in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.access(short, os.W_OK):
            return f"{short}/ray-{os.getuid()}"
    return None


def stop_ray() -> None:
    """Leaves the cluster, or ends the embedded one; does nothing where Ray was never imported."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
