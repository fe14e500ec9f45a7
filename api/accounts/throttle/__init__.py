"""The throttle: how often passwords may be tried, and people register."""
