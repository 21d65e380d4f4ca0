"""Models in the contract's keys: list, register, discover, load, unload."""
