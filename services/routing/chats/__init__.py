"""Chats: their state, the rules that change it, and who may start one."""
