"""Import-time tuning of the services that sign with HMAC alone. Must be imported before PyJWT.

PyJWT loads the package `cryptography` where it is installed, which takes 8 MB in each process. The image of presence
has it for logins at an issuer, and that of transcripts to sign the ends of chats: it imports what it needs by itself,
where it has a key (`services/transcripts/evidence/signer.py`). `make run` has one environment for all services.
"""

import sys

sys.modules.setdefault("cryptography", None)  # type: ignore[arg-type]  # makes the import fail, as in the image
