# Set your access token
TOKEN="YOUR_ACCESS_TOKEN"

# Get all data sources
curl -X GET \
  "https://api.example.com/api/v1/ingestion/sources?source_type=GCS" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json"

# Create a data source
curl -X POST \
  "https://api.example.com/api/v1/ingestion/sources" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Sales Data Bucket",
    "source_type": "GCS",
    "connection_details": {
      "bucket_name": "sales-data-bucket",
      "file_pattern": "*.csv"
    },
    "description": "GCS bucket containing sales data CSV files",
    "is_active": true
  }'

# Execute a pipeline
curl -X POST \
  "https://api.example.com/api/v1/ingestion/pipelines/550e8400-e29b-41d4-a716-446655440010/execute" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "execution_params": {
      "batch_size": 1000,
      "include_deleted": false,
      "start_date": "2023-06-01",
      "end_date": "2023-06-15"
    },
    "async_execution": true
  }'

# Get pipeline execution details
curl -X GET \
  "https://api.example.com/api/v1/ingestion/executions/550e8400-e29b-41d4-a716-446655440020" \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json"
