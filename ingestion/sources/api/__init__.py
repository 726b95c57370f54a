"""REST and GraphQL APIs as sources: ask, follow the pages, hand the rows to the shared staging of JSON."""
