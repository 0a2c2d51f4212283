import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import { checkGroup } from './satisfiable-group.ts'
import { openSegmentOf, type StreamMeta } from './stream-meta.ts'

/**
 * Why it cannot be promised that what the open segment's group has committed survives what its policy says, such as that two members
 * lie on one device: `policy_unsatisfiable`. null: it can.
 *
 * @param mayShareDevice for development
 */
export function replicationRefusal(
  meta: StreamMeta | null,
  servers: ReadonlyMap<ServerId, RegisteredServer>,
  mayShareDevice: boolean,
): CommanderError | null {
  const open = meta === null ? null : openSegmentOf(meta)
  if (open === null) return notOpen()
  const group = open.group.flatMap((id) => servers.get(id) ?? [])
  try {
    checkGroup(group, { policy: open.policy, mayShareDevice })
    return null
  } catch (error) {
    if (!isCommanderError(error)) throw error
    // Somebody has to do something about it: asking again does not help.
    return new CommanderError(error.code, error.message, { retryable: false, details: error.details })
  }
}

const notOpen = (): CommanderError =>
  new CommanderError('policy_unsatisfiable', 'the stream has no open segment at the moment, and so no group: try again')
