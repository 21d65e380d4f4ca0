"""The home router, a llama-server in router mode: asking it, hearing its events, and what its models are doing."""
