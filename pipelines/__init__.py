"""The stages of dvc.yaml, one script each, and the jobs on top of them."""
