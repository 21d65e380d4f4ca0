"""What survives a restart: finished requests, samples, sums; in SQLite, or in one PostgreSQL for many sidecars."""
