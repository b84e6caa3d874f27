"""Mirrors services/transcripts/outbox/signatures.py, with the example of the specification's own libraries."""

import base64
from datetime import UTC, datetime

from services.transcripts.outbox.signatures import signed_headers

AT = datetime.fromtimestamp(1_614_265_330, UTC)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_request_is_signed_as_the_specification_has_it() -> None:
    headers = signed_headers(ID, AT, BODY, [SECRET])
    assert headers == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}


def test_two_secrets_make_two_signatures_and_each_is_that_of_one() -> None:
    one, two = signed_headers(ID, AT, BODY, [SECRET, bytes(32)])["webhook-signature"].split(" ")
    assert one == SIGNATURE
    assert two == signed_headers(ID, AT, BODY, [bytes(32)])["webhook-signature"]
