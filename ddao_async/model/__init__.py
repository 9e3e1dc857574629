"""What a document is: schema, codec, keys, indexes, queries. All pure."""
