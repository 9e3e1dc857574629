"""ddao_async: an async document database in any S3-compatible bucket."""
