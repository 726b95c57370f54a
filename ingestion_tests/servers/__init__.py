"""Real servers for tests: each is started on a free port in a folder of its own and stopped by its pid."""
