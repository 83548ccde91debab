"""The stages of dvc.yaml, one script each, the retraining job, and the tools that belong to them.

Tools: `scale` edits params.yaml, `closure` the deps in dvc.yaml, `demo` prints the end of `make demo`, and
`stage` is shared by the scripts.
"""

import sys

from dose.files import die_with_parent

# While Python looks up the module of `python -m pipelines.X`, argv[0] is "-m". This must not wait for
# run_stage: the imports of X take seconds, and a dvc that is killed meanwhile would leave its stage running.
if sys.argv[0] == "-m":
    die_with_parent()
