"""Routes of the office beside its chats: questions, canned answers, labels, past chats, reports, supervision."""
