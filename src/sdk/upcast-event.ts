import type { AnyAggregate, DecidedEvent } from './aggregate-types.ts'

/** An event as it was stored under an older version of the aggregate, brought to today's form. */
export function upcastEvent(definition: AnyAggregate, stored: DecidedEvent, version: number): DecidedEvent {
  if (version >= definition.version || definition.upcast === undefined) return stored
  const upcast = Object.hasOwn(definition.upcast, stored.type) ? definition.upcast[stored.type] : undefined
  return upcast === undefined ? stored : upcast(stored.data, version)
}
