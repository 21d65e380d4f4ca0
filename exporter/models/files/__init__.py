"""Model files: where they may lie, which there are, and what their headers say."""
