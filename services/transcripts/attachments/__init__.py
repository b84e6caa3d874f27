"""RULES of attachments: what a file is, judged by its content, what is refused and why, and its name. No I/O.

`judging.judge` is the entrance. It runs in a process of its own (`checker`): the bytes come from
strangers. A file that could be read as something else too is only ever served as what was recognised, as a download.
"""
