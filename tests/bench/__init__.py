"""What a call costs with credwatch, beside the same call without it and with OpenTelemetry's own instrumentation."""
