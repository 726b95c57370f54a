const BASE_URL = 'https://api.example.com/api/v1/ingestion';
const TOKEN = 'YOUR_ACCESS_TOKEN';

function getHeaders() {
  return {
    'Authorization': `Bearer ${TOKEN}`,
    'Content-Type': 'application/json'
  };
}

// Get all pipelines
async function getPipelines(sourceId = null, isActive = null, page = 1, pageSize = 20) {
  const params = new URLSearchParams({
    page: page.toString(),
    page_size: pageSize.toString()
  });
  
  if (sourceId) {
    params.append('source_id', sourceId);
  }
  
  if (isActive !== null) {
    params.append('is_active', isActive.toString());
  }
  
  const response = await fetch(
    `${BASE_URL}/pipelines?${params.toString()}`,
    {
      method: 'GET',
      headers: getHeaders()
    }
  );
  
  if (!response.ok) {
    const errorData = await response.json();
    throw new Error(`API error: ${errorData.message}`);
  }
  
  return response.json();
}

// Create a new pipeline
async function createPipeline(pipelineData) {
  const response = await fetch(
    `${BASE_URL}/pipelines`,
    {
      method: 'POST',
      headers: getHeaders(),
      body: JSON.stringify(pipelineData)
    }
  );
  
  if (!response.ok) {
    const errorData = await response.json();
    throw new Error(`API error: ${errorData.message}`);
  }
  
  return response.json();
}

// Get pipeline execution details
async function getPipelineExecution(executionId) {
  const response = await fetch(
    `${BASE_URL}/executions/${executionId}`,
    {
      method: 'GET',
      headers: getHeaders()
    }
  );
  
  if (!response.ok) {
    const errorData = await response.json();
    throw new Error(`API error: ${errorData.message}`);
  }
  
  return response.json();
}

// Example usage
async function main() {
  try {
    // Get active pipelines
    const pipelines = await getPipelines(null, true);
    console.log(`Found ${pipelines.items.length} active pipelines`);
    
    // Create a new pipeline
    const newPipeline = await createPipeline({
      pipeline_name: 'New Sales Data Import',
      source_id: '550e8400-e29b-41d4-a716-446655440000',
      target_dataset: 'sales_data',
      target_table: 'new_daily_sales',
      configuration: {
        schedule: '0 4 * * *',
        extraction_params: {
          file_pattern: 'new_sales_*.csv',
          field_delimiter: ',',
          skip_header_rows: 1
        }
      },
      description: 'New daily import of sales data from GCS to BigQuery',
      is_active: true
    });
    console.log(`Created new pipeline with ID: ${newPipeline.data.pipeline_id}`);
    
    // Get execution details
    const execution = await getPipelineExecution('550e8400-e29b-41d4-a716-446655440020');
    console.log(`Execution status: ${execution.data.status}`);
    console.log(`Records processed: ${execution.data.records_processed}`);
    
  } catch (error) {
    console.error('Error:', error.message);
  }
}

main();
