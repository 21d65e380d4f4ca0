"""What can be set at run time, in the contract's keys and in those of front ends."""
