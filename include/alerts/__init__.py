"""Incidents and notices: kept first, then told to Slack once each, whatever died."""
