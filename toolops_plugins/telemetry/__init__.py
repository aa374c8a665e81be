"""What happened to every call, and where to send the news."""
