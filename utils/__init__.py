"""Pure helpers of the service; they import nothing of ours outside this package."""
