import type { Member, ServerId } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import type { StreamMeta } from './stream-meta.ts'

/** What a node knows of its cluster when it decides on groups. */
export interface GroupView {
  readonly meta: StreamMeta
  readonly servers: ReadonlyMap<ServerId, RegisteredServer>
  readonly isConnected: (id: ServerId) => boolean
  readonly mayShareDevice: boolean
}

export const memberOf = ({ id, identity, address }: Member): Member => ({ id, identity, address })
