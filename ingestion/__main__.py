"""`python -m ingestion`."""

from ingestion.cli import main

if __name__ == "__main__":
    main()
