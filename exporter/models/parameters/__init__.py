"""What can be set for a model: one parameter, the table of all, and what people want to set."""
