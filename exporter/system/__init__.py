"""What the machine and the llama-servers are doing, sampled on timers."""
