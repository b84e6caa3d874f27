"""`services/gateway/sending/send_queue.py`: a waiting sender gets one outcome, and no other one does."""

from services.gateway.sending.send_queue import Outcome, Receipt, Receipts, Refusal
from tests.gateway.making import AN, CHAT, OTHER, entry, id_of


def test_a_refusal_ends_the_wait_and_a_forgotten_waiter_is_not_called() -> None:
    receipts = Receipts()
    kept: list[Outcome] = []
    forgotten: list[Outcome] = []
    receipts.wait(CHAT, "citizen", id_of(1), kept.append)
    receipts.wait(CHAT, "citizen", id_of(1), forgotten.append)
    receipts.forget(CHAT, "citizen", id_of(1), forgotten.append)
    for _ in range(2):
        receipts.settle(CHAT, "citizen", id_of(1), Refusal("chat_closed"))
    assert kept == [Refusal("chat_closed")]
    assert forgotten == []
    receipts.forget(CHAT, "citizen", id_of(1), kept.append)
    assert not receipts


def test_a_receipt_is_for_its_chat_sender_and_id_alone() -> None:
    receipts = Receipts()
    outcomes: list[Outcome] = []
    receipts.wait(CHAT, "citizen", id_of(1), outcomes.append)
    for chat_id, sender_id, id_ in (
        (OTHER, "citizen", id_of(1)),
        (CHAT, AN, id_of(1)),
        (CHAT, "citizen", id_of(2)),
        (CHAT, "", None),
    ):
        receipts.settle(chat_id, sender_id, id_, Receipt(entry(1)))
    assert outcomes == []
    assert len(receipts) == 1
