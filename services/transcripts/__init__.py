"""The transcript service: the logs of chats, their attachments and downloads, inactivity, and left questions."""
