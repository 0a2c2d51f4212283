import {
  decodePresent,
  decodeReadPointIs,
  decodeReplicates,
  decodeSwitched,
  journalFrames,
} from '../ipc/journal-protocol.ts'
import { fromWireError } from '../kernel/errors.ts'
import type { FollowerRole } from './follower-role.ts'

/** What the journal writer says that is for the role alone. @returns false: it is something else */
export function tellRole(role: FollowerRole, kind: number, body: Buffer): boolean {
  switch (kind) {
    case journalFrames.present:
      role.present?.(decodePresent(body))
      return true
    case journalFrames.switched:
      role.switched?.(decodeSwitched(body))
      return true
    case journalFrames.readPointIs:
      role.readPoint?.(decodeReadPointIs(body))
      return true
    case journalFrames.replicates: {
      const { refusal } = decodeReplicates(body)
      role.replicates?.(refusal === null ? null : fromWireError(refusal))
      return true
    }
    default:
      return false
  }
}
