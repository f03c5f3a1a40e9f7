"""Slack messages: build, decide, send."""
