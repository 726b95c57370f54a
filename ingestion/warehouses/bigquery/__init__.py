"""BigQuery as the warehouse: one load job per execution, one script that publishes."""
