"""What a session must look like before it is scored."""
