"""Events: what the shop is told of its charges, by webhooks."""
