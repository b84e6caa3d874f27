"""Sending of participants' messages: send queues, receipts and batches."""
