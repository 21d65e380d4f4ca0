"""The machine now and in the past, health and status, in the contract's keys."""
