"""The stages of dvc.yaml, one script each, the retraining job, and the tools that belong to them.

Tools: `scale` edits params.yaml, `closure` the deps in dvc.yaml, `demo` prints the end of `make demo`, and
`stage` is shared by the scripts.
"""

import os
import sys
from pathlib import Path

# The stages run the code of the tree in which they lie. An editable install names one tree for good, so that
# without this a git worktree or the workspace of `dvc exp run --temp` would run another tree's code.
SOURCE = Path(__file__).resolve().parent.parent / "src"
sys.path.insert(0, str(SOURCE))

import dose  # noqa: E402
from dose.files import die_with_parent  # noqa: E402

_found = Path(str(dose.__file__)).resolve().parents[1]
# Imported before this line, or missing here. Stops before the imports of the stage, which may fail.
if _found != SOURCE:
    sys.exit(
        f"The stages in {SOURCE.parent} would run the dose of {_found}; see that {SOURCE / 'dose'} exists "
        f"and run them with PYTHONPATH={SOURCE}."
    )
# For the processes that a stage starts: Ray's workers, bentoml.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))

# While Python looks up the module of `python -m pipelines.X`, argv[0] is "-m". This must not wait for
# run_stage: the imports of X take seconds, and a dvc that is killed meanwhile would leave its stage running.
if sys.argv[0] == "-m":
    die_with_parent()
