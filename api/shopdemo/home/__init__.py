"""The shop's front page."""
