import type { AnyAggregate, DecidedEvent } from './aggregate-types.ts'

/** What a migration that drops an event leaves in its place, so that revisions have no gaps. No event can be named so. */
export const droppedEvent: DecidedEvent = Object.freeze({ type: 'stream/dropped', data: null })

export const isDropped = ({ type }: DecidedEvent): boolean => type === droppedEvent.type

/** An event as it was stored under an older version of the aggregate, brought to today's form. */
export function upcastEvent(definition: AnyAggregate, stored: DecidedEvent, version: number): DecidedEvent {
  if (version >= definition.version || definition.upcast === undefined || isDropped(stored)) return stored
  const upcast = Object.hasOwn(definition.upcast, stored.type) ? definition.upcast[stored.type] : undefined
  return upcast === undefined ? stored : upcast(stored.data, version)
}
