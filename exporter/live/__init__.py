"""What is true now: read-models in memory that answer questions about the present."""
