"""All Dagster code: definitions made from the store, runs and their workers, and the client of the web app."""
