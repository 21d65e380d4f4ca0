"""The file that tells llama-server's router of the models: its text, where it lies, keeping it up to date."""
