"""Where plugins come from: discovery, hooks, instances, the registry."""
