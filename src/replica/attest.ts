import type { Lsn } from '../kernel/identifiers.ts'
import { stateHash } from '../state/snapshot.ts'
import type { FollowerRole } from './follower-role.ts'

/** Says the hash of the role's state after the batch that it was just handed, or lets the role say it. */
export function attest(
  role: FollowerRole,
  at: Lsn,
  follower: { readonly sendAttested: (at: Lsn, hash: string) => void },
): void {
  if (role.attest !== undefined) role.attest(at)
  else if (role.state !== undefined) follower.sendAttested(at, stateHash(role.state))
}
