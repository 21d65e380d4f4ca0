"""Socket.IO: python-socketio's server within bounds, who its clients are, and telling many of them one thing."""
