"""The parameters of all models in the contract's keys."""
