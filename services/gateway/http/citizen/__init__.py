"""Routes for citizens: the button, chats, their frames over HTTP, and what comes after a chat."""
