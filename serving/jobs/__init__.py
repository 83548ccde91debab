"""Background jobs: their store, the worker, and the kits that they produce."""
