"""Changes the scale in params.yaml: `python -m pipelines.scale paper`.

params.yaml as committed is the laptop scale. Each file in pipelines/scales/ holds the settings that differ at
another scale; this command merges one into params.yaml and keeps the comments. `git checkout params.yaml`
restores the laptop scale. A key that the laptop scale does not have is an error, so that a renamed setting
cannot leave an outdated overlay behind.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from dose.errors import ConfigError, DoseError
from dose.files import atomic

SCALES = Path(__file__).parent / "scales"


def overlay(base: Any, changes: Any, where: str = "params.yaml") -> Any:
    """A copy of mapping `base` with `changes` merged into it, key by key.

    Lists and empty mappings are replaced as a whole. Raises ConfigError for a key that `base` lacks.
    """
    merged = copy.deepcopy(base)
    for key, value in changes.items():
        if key not in base:
            raise ConfigError(f"{where} has no key '{key}' that the scale could change.")
        # Merged key by key only where both have keys.
        if isinstance(value, dict) and isinstance(base[key], dict) and value and base[key]:
            merged[key] = overlay(base[key], value, f"{where}.{key}")
        else:
            merged[key] = value
    return merged


def main() -> None:
    names = sorted(p.stem for p in SCALES.glob("*.yaml"))
    parser = argparse.ArgumentParser(prog="python -m pipelines.scale", description=__doc__)
    parser.add_argument("scale", choices=names)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    yaml = YAML()
    yaml.width = 120
    try:
        changes = yaml.load(SCALES / f"{args.scale}.yaml")
        merged = overlay(yaml.load(args.params), changes)
    except DoseError as e:
        raise SystemExit(str(e)) from e
    with atomic(args.params) as beside:
        yaml.dump(merged, beside)
    print(f"{args.params} now describes the {args.scale} scale; `dvc repro` builds it.")


if __name__ == "__main__":
    main()
