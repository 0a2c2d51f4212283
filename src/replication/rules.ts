import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import type { Digest } from './batch.ts'
import type { Acknowledgement, Member, SegmentState, ServerId } from './messages.ts'
import { type ReplicationPolicy, sealQuorum } from './replication-policy.ts'

/**
 * The decisions on which safety hangs, each by a name and in one place. The machines ask them and nothing else where one of these
 * is to be decided. They are held in an object so that the simulation can put a mistake in the place of each, and be seen
 * to find it (test/simulation/replication/plants.ts).
 */
export const rules = {
  /** I5: a server takes from nobody whose epoch is below its promise. */
  admits: (promised: Epoch, epoch: Epoch): boolean => epoch >= promised,

  /** I4: the promise is on the disk before anything is done, or answered, because of it. */
  mustPromise: (promised: Epoch, epoch: Epoch): boolean => epoch > promised,

  /** I3: nothing is taken that does not follow on what is there. */
  follows: (written: Lsn, firstLsn: Lsn): boolean => firstLsn <= written + 1,

  /** I2: what is there is never replaced; whoever has something else there is refused, and somebody must look. */
  isSame: (held: Digest | null, digest: Digest): boolean => held?.equals(digest) ?? false,

  /** I5, I6: acknowledged is what is flushed, to a writer that is not fenced by then (its append may have been on its way to disk). */
  mayAcknowledge: (owed: { readonly epoch: Epoch; readonly upTo: Lsn }, promised: Epoch, flushed: Lsn): boolean =>
    owed.upTo <= flushed && owed.epoch >= promised,

  /** I11: readers get what is committed; of that, what cannot be lost here. */
  readableUpTo: (committed: Lsn, flushed: Lsn): Lsn => (committed < flushed ? committed : flushed),

  /** I17: a server that lost its disk has another identity, and promised and acknowledged nothing. */
  isRegistered: (member: Member | undefined, answer: Pick<Acknowledgement, 'identity'>): boolean =>
    member !== undefined && member.identity === answer.identity,

  /** O4: so many sealed servers leave too few for another commit, and one of them has each committed entry. */
  sealQuorum: (policy: ReplicationPolicy): number => sealQuorum(policy),

  /** I14: whether the end that a server tells is the end, or damage could hide more. null: it never had the segment. */
  isExact: (segment: SegmentState | null): boolean => segment === null || !segment.atLeast,

  /** O4: how far the sealed segment reaches, as far as one server can tell. */
  heldUpTo: (segment: SegmentState): Lsn => segment.flushed,

  /** O5, I10: before the seal so many servers have all up to the target. */
  isRepaired: (holders: number, policy: ReplicationPolicy): boolean => holders >= policy.ackQuorum,

  /** O5: up to where the sealed segment is repaired. All that may have been acknowledged, not just what is known to be. */
  repairGoal: (target: Lsn, _committed: Lsn): Lsn => target,

  /** I7: committed is what `ackQuorum` servers of the group have flushed. `flushed` is in falling order. */
  committedOf: (flushed: readonly Lsn[], policy: ReplicationPolicy): Lsn => flushed[policy.ackQuorum - 1] as Lsn,

  /** I7, I8: an acknowledgement counts for the segment that it is of: late ones of a sealed segment say nothing about the next. */
  isOf: (ofAnswer: Epoch, ofTrack: Epoch): boolean => ofAnswer === ofTrack,

  /** I7: after a roll the members of the new group count, and nobody else. */
  countedAfterRoll: (_before: readonly Member[], group: readonly Member[]): readonly Member[] => group,

  /** I8: while a swap that may have sealed the segment is not settled, nothing more of it is committed. */
  mayCommit: (isRolling: boolean): boolean => !isRolling,

  /**
   * C2, I17: a server that was deregistered before the record named it in the group may be replaced by another one of its id, that
   * knows of nothing; so nothing of a group counts before that is ruled out.
   */
  mayCount: (isGroupConfirmed: boolean): boolean => isGroupConfirmed,

  /** C2: of a group that is confirmed nobody can be deregistered as long as the record goes on naming it, as the next segment's does. */
  staysConfirmed: (isGroupConfirmed: boolean, before: readonly Member[], group: readonly Member[]): boolean =>
    isGroupConfirmed &&
    group.every((one) => before.some(({ id, identity }) => id === one.id && identity === one.identity)),

  /**
   * Liveness: one slow server never stalls commits, so whoever waits because enough others are as far as it gets its entries all the
   * same when they are due.
   */
  mayWait: (ahead: number, policy: ReplicationPolicy, isDue: boolean): boolean => !isDue && ahead >= policy.ackQuorum,

  /**
   * I12: so many servers of the current group must have promised nobody else. Fewer (Qs) are enough only as long as the group
   * never changes.
   */
  confirmQuorum: (policy: ReplicationPolicy): number => policy.ackQuorum,

  /** I12: while a swap that may have changed the group is not settled, no server can confirm anything. */
  mayConfirm: (isRolling: boolean): boolean => !isRolling,

  /** A swap whose answer was lost may have been made, or may yet be: it is sent again, and nothing is concluded. */
  isSettled: (answer: 'swapped' | 'conflict' | 'lost'): boolean => answer !== 'lost',

  /** A swap that lost is one that won, if the record bears its nonce: only the answer was lost. */
  isMine: (nonce: string, found: string): boolean => nonce === found,

  /** I13: where archiving is on, only what the archive was seen to hold is given up. */
  mayTrim: (isArchiving: boolean, isArchived: boolean): boolean => !isArchiving || isArchived,

  /** I13: servers are told to trim up to what the record says, never before it says so. */
  trimUpTo: (trimLsn: Lsn, _wanted: Lsn): Lsn => trimLsn,

  /** I2: a segment that is damaged somewhere is taken again only while so many others have all of it. */
  mayRewind: (others: number, policy: ReplicationPolicy): boolean => others >= policy.ackQuorum,
}

export type Members = ReadonlyMap<ServerId, Member>
