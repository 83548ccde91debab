"""The models in service: loading, batching, canary and shadow traffic."""
