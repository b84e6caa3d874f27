"""RULES of attachments: what a file is, judged by its content, what is refused and why, and its name. No I/O.

`judging.judge` is the entry point. It runs in a process of its own (`checker`), because the bytes are not trusted. A
file that could also be read as another type is only ever served as the type that was recognised, as a download.
"""
