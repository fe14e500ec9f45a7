"""What happens when more comes than can be answered."""
