"""`dose bench NAME`: each module offers `add_arguments(parser)` and `run(args) -> dict`."""
