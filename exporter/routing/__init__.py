"""Which llama-server a request goes to."""
