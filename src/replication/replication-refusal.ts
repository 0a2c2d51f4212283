import { CommanderError, isCommanderError } from '../kernel/errors.ts'
import type { ServerId } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import { checkGroup } from './satisfiable-group.ts'
import { openSegmentOf, type StreamMeta } from './stream-meta.ts'

/**
 * Why it cannot be promised that what the open segment's group has committed survives what its policy says, such as that two members
 * lie on one device, or that one acknowledges alone: `policy_unsatisfiable`. null: it can.
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
  if (open.policy.ackQuorum < 2) return acknowledgedByOne()
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

const acknowledgedByOne = (): CommanderError =>
  new CommanderError(
    'policy_unsatisfiable',
    'the ackQuorum of the replication policy is 1: what one journal server alone has flushed is lost with it. Raise it ' +
      '(commanderdb cluster reconfigure --ack-quorum 2), or ask for durability flushed',
    { retryable: false },
  )

const notOpen = (): CommanderError =>
  new CommanderError('policy_unsatisfiable', 'the stream has no open segment at the moment, and so no group: try again')
