"""Background jobs: store, worker, and the kits they leave."""
