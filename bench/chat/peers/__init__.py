"""The chats that ours is compared with."""
