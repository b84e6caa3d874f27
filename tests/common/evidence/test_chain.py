"""The canonical form, the chain, keys and codes, with values that docs/transcript-format.md names."""

import pytest

from services.common.evidence import chain

HEADING = {"chat_id": "c", "department": "algemeen", "locale": "nl", "opened_at": "2026-11-22T15:00:00.000Z"}
MESSAGE = {"seq": 1, "id": "m", "from": "citizen", "text": 'Dag "é" \u2028\n\x7f\x01', "at": "2026-11-22T15:00:01.000Z"}


def test_the_canonical_form_is_that_of_the_standard() -> None:
    assert chain.canonical({"b": 1, "a": MESSAGE["text"]}) == '{"a":"Dag \\"é\\" \u2028\\n\x7f\\u0001","b":1}'.encode()


def test_the_hashes_are_those_of_the_documentation() -> None:
    salt = bytes(range(16))
    assert chain.content_digest(MESSAGE, salt) == "645c1e66bafbbcf84d9dd909a60c71c26f61e956c3f972038b459c2736a46e58"
    assert chain.first_hash(HEADING) == "ef9a870d647295047b457539f6d987b1345e248ec3f0d064d15109887a29d6d7"
    built = chain.Chain(HEADING)
    made = built.add(MESSAGE, salt)
    assert (made["prev"], made["salt"]) == (chain.first_hash(HEADING), salt.hex())
    assert (built.head, built.entries) == ("3c32fa2697d21b55068e870646e998356867be38340a3f377a88b7c2489ea551", 1)


def test_a_removed_content_keeps_the_hash() -> None:
    salt, whole, without = bytes(16), chain.Chain(HEADING), chain.Chain(HEADING)
    whole.add(MESSAGE, salt)
    made = without.add_removed(MESSAGE, chain.content_digest(MESSAGE, salt))
    assert whole.head == without.head
    assert "text" not in made
    assert "salt" not in made


def test_the_id_of_a_key_is_its_thumbprint() -> None:
    # RFC 8037, appendix A.3
    key = chain.decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    assert key is not None
    assert chain.kid_of(key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert chain.keys_of({"keys": [chain.jwk(key), {"kty": "RSA"}, None, {"crv": "Ed25519", "x": "kort"}]}) == {
        chain.kid_of(key): key
    }
    unlike: list[object] = [None, [], {}, {"keys": 1}]
    for wrong in unlike:
        with pytest.raises(ValueError, match="Key Set"):
            chain.keys_of(wrong)


@pytest.mark.parametrize("text", [None, 1, "a=", "é", "a b", "x" * 300, "AB"])
def test_what_is_not_base64url_is_nothing(text: object) -> None:
    assert chain.decoded(text) is None


def test_a_code_is_read_as_a_person_types_it() -> None:
    code = chain.code_of({"a": 1})
    assert len(code.replace("-", "")) == chain.CODE_LENGTH == 24
    assert chain.normal_code(" " + code.lower().replace("-", " ").replace("1", "l").replace("0", "o")) == code
    for wrong in ("", code[:-1], code + "0", code.replace(code[0], "U")):
        assert chain.normal_code(wrong) is None
