"""The path `/llamaproxws`, which the manager's own pages use."""
