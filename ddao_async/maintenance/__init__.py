"""What keeps a bucket in order: the probe of its server, indexes that come and go, vacuum, and the doctor."""
