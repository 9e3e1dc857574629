"""Fast HTTP/1.1 to S3: the hot lane."""
