"""Identifying numbers in the frames of participants: masked or refused before anything of a frame leaves the gateway.

All carriers pass here: a frame of a websocket and one that came in a request of its own. A repeated frame gives the
same text again, because the masked form depends on nothing but the number and the policy of the chat's department.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from services.gateway.chats.live_chats import LiveChats
from services.gateway.identifying_numbers import NumberRules
from services.gateway.websocket.frames.client import Details, End, Frame, Post, TransferChat, WriteNote


class WrittenNumbers:
    """Applies the policies of departments to the texts of frames."""

    def __init__(self, chats: LiveChats, rules: NumberRules) -> None:
        self._chats, self._rules = chats, rules

    def apply(self, chat_id: str, frame: Frame) -> Frame:
        """Return the frame with the numbers masked that the department of this chat masks.

        The name of a citizen and the reason of a block are never refused: their numbers are masked then, too.

        Raises:
            NumberRefused: A message or a note has a number that the department refuses.
        """
        if isinstance(frame, Post | WriteNote):
            if frame.text is UNSET:
                return frame
            text = self._rules.apply(frame.text, self._department(chat_id))
            return frame if text == frame.text else replace(frame, text=text)
        if isinstance(frame, TransferChat) and frame.note:
            return replace(frame, note=self._rules.apply(frame.note, self._department(chat_id)))
        if isinstance(frame, Details):
            return replace(frame, name=self._rules.mask(frame.name, self._department(chat_id)))
        if isinstance(frame, End) and frame.block:
            reason = self._rules.mask(frame.block.reason, self._department(chat_id))
            return replace(frame, block=replace(frame.block, reason=reason))
        return frame

    def _department(self, chat_id: str) -> str | None:
        chat = self._chats.by_id.get(chat_id)
        return chat.state.department if chat and chat.state else None
