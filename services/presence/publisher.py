"""Publisher of presence's events. Repetition is harmless; a repair job repeats what the broker has not confirmed."""

from __future__ import annotations

import structlog

from services.common.events.agents import AgentChanged, PauseEnded, WrapUpEnded
from services.common.events.places import PlaceClaimed, PlaceReleased
from services.common.events.types import Choice, ReleaseReason
from services.common.messaging.publisher import Unconfirmed
from services.presence.context import Context
from services.presence.slots.rules import Agent, Slot

log = structlog.get_logger()


async def publish_claimed(
    context: Context,
    agent_id: str,
    agent_name: str,
    chat_id: str,
    turn: int,
    choice: Choice | None,
    reminder: bool | None = None,
) -> None:
    """Publish that this agent has the chat's attempt, and why they were chosen."""
    await context.publisher.publish(
        PlaceClaimed(
            chat_id=chat_id, turn=turn, agent_id=agent_id, agent_name=agent_name, choice=choice, reminder=reminder
        )
    )


async def publish_released(context: Context, agent_id: str, chat_id: str, turn: int, reason: ReleaseReason) -> None:
    """Publish that this agent does not, or no longer, have the chat's attempt."""
    await context.publisher.publish(PlaceReleased(chat_id=chat_id, turn=turn, agent_id=agent_id, reason=reason))


async def publish_slot(context: Context, agent: Agent, slot: Slot, reminder: bool | None = None) -> None:
    """Publish a slot as claimed or, when it is being given up, as released."""
    if slot.leaving is None:
        await publish_claimed(context, agent.id, agent.name, slot.chat_id, slot.turn, slot.choice, reminder)
    else:
        await publish_released(context, agent.id, slot.chat_id, slot.turn, slot.leaving)


async def publish_agent(context: Context, agent_id: str) -> None:
    """Publish the agent's present state and what has ended, and remove the mark of an unpublished change.

    What has ended are wrap-ups and pauses.
    """
    agent = await context.stores.agents.agent(agent_id)
    if agent is None:
        return
    await context.publisher.publish(
        AgentChanged(
            agent_id=agent.id,
            v=agent.v,
            online=agent.online,
            state=agent.state,
            cause=agent.cause,
            wrap_ups=agent.wrap_ups,
            departments=list(agent.departments),
            pause_reason=agent.pause_reason,
        )
    )
    for ended in agent.unpublished:
        await context.publisher.publish(
            WrapUpEnded(chat_id=ended.chat_id, department=ended.department, seconds=ended.seconds)
        )
    for pause in agent.unpublished_pauses:
        await context.publisher.publish(
            PauseEnded(
                pause_id=pause.id,
                agent_id=agent.id,
                departments=list(agent.departments),
                reason=pause.reason,
                since=pause.since,
                seconds=pause.seconds,
            )
        )
    await context.stores.agents.mark_published(agent.id, agent.v, agent.unpublished, agent.unpublished_pauses)


async def publish_agent_soon(context: Context, agent_id: str) -> None:
    """Do as `publish_agent`. While the broker is away a repair job does it, because the change is marked."""
    try:
        await publish_agent(context, agent_id)
    except Unconfirmed:
        log.info("agent_change_not_published", agent_id=agent_id)
