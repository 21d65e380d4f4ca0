"""The llama-server that the sidecar runs itself: starting it, keeping it running, reading its lines, ending it."""
