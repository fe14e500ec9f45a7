"""`python -m bench.chat`: how many sockets one core tells how much, beside other chats."""
