"""The demo's applications: plain boto3 code that knows nothing of credwatch."""
