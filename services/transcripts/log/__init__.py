"""The logs of chats: from the queue `transcripts.messages` to numbered entries in the database."""
