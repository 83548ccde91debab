"""The names under which MLflow's model registry knows this project's models."""

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"  # aliases of a version
DATA_TAG = (
    "dose.dvc."  # prefix of a version's tags that hold dvc's hash of each stage output it was made from
)
EXPERIMENT = "dose"  # of the runs that train the models


def model_name(drum: str) -> str:
    """For example dose-kick."""
    return f"dose-{drum}"
