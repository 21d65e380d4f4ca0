"""The models that people manage through the sidecar: which there are, what they are loaded with, and loading them by
way of llama-server's router mode."""
