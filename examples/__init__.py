"""Programs that use the service as a client would. They import nothing of it."""
