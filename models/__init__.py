"""One model a file, each behind the protocol of `models.protocol`."""
