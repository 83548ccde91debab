"""The stages of dvc.yaml, one script each, and the jobs on top of them."""

import sys

from dose.files import die_with_parent

# So stands argv while `python -m pipelines.X` is being found. Not later, in run_stage: X's own imports take
# seconds, and a dvc that is killed meanwhile would leave a stage that nobody ends.
if sys.argv[0] == "-m":
    die_with_parent()
