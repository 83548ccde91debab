"""The model registry, and the promotion gate: whether a challenger may take the champion's place."""
