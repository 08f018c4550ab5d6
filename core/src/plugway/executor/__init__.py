"""Running the plugins: chains, conditions, failures, records."""
