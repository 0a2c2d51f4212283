import { type Lsn, lsn } from '../../../src/kernel/identifiers.ts'
import { sealQuorum } from '../../../src/replication/replication-policy.ts'
import { rules } from '../../../src/replication/rules.ts'
import { replace } from '../plants.ts'
import { NodeShell } from './node-shell.ts'
import { ServerDisk } from './server-disk.ts'

/** A mistake that somebody could make, put in from outside for as long as a test of the simulation needs it. */
export interface ReplicationPlant {
  readonly name: string
  /** What the simulation must find, in its own words. */
  readonly finds: RegExp
  /** The first seed to look at, where few histories show it and the first ones do not. Default: 1. */
  readonly from?: number
  /** @returns how to take it out. */
  plant(): () => void
}

type Rules = typeof rules

/** Puts another decision in the place of one. */
const decide =
  <Name extends keyof Rules>(name: Name, decision: Rules[Name]) =>
  (): (() => void) => {
    const original = rules[name]
    rules[name] = decision
    return () => {
      rules[name] = original
    }
  }

export const replicationPlants: readonly ReplicationPlant[] = [
  {
    name: 'a seal quorum that is too small',
    finds: /I8|I17|I15/,
    plant: decide('sealQuorum', (policy) => Math.max(1, sealQuorum(policy) - 1)),
  },
  {
    name: 'a tail that is told without a promise',
    finds: /I4/,
    plant: decide('mustPromise', () => false),
  },
  {
    name: 'a promise that is not on the disk',
    finds: /I4/,
    plant: () =>
      replace<unknown[]>(
        ServerDisk,
        'crash',
        (original) =>
          function crash(this: ServerDisk, ...args): void {
            original.apply(this as never, args)
            this.promised = 0 as typeof this.promised
          },
      ),
  },
  {
    name: 'a promise that is not kept',
    finds: /I4|I5|I12/,
    plant: decide('admits', () => true),
  },
  {
    name: 'a server with a wiped disk that votes',
    finds: /I7|I8|I10|I15|I17/,
    plant: decide('isRegistered', (member) => member !== undefined),
  },
  {
    name: 'a damaged end that is taken for the end',
    finds: /I8|I15/,
    plant: decide('isExact', () => true),
  },
  {
    name: 'a repair that forgets what is not known to be committed',
    finds: /I10/,
    plant: decide('repairGoal', (_target, committed) => committed),
  },
  {
    name: 'a segment that is sealed before enough servers have all of it',
    finds: /I10/,
    plant: decide('isRepaired', (holders, { ackQuorum }) => holders >= ackQuorum - 1),
  },
  {
    name: 'a tail that is the highest committed entry',
    finds: /I8|I15/,
    plant: decide('heldUpTo', ({ committed, base, flushed }) => lsn(Math.max(base - 1, Math.min(committed, flushed)))),
  },
  {
    name: 'an acknowledgement before the flush',
    finds: /I6/,
    plant: decide('mayAcknowledge', ({ epoch }, promised) => epoch >= promised),
  },
  {
    name: 'an acknowledgement after the seal',
    finds: /I5/,
    plant: decide('mayAcknowledge', ({ upTo }, _promised, flushed) => upTo <= flushed),
  },
  {
    name: 'a batch that is taken though others are missing before it',
    finds: /I3|holds something else/,
    plant: decide('follows', () => true),
  },
  {
    name: 'a batch that is taken though something else is before it',
    finds: /I3|I2|I11/,
    plant: () => {
      const undo = [decide('isSame', () => true)(), decide('follows', () => true)()]
      return () => {
        for (const one of undo) one()
      }
    },
  },
  {
    name: 'committed with one server too few',
    finds: /I7/,
    plant: decide('committedOf', (flushed, { ackQuorum }) => flushed[Math.max(0, ackQuorum - 2)] as Lsn),
  },
  {
    name: 'entries that servers beyond the quorum never get while others are ahead',
    finds: /liveness/,
    plant: decide('mayWait', (ahead, { ackQuorum }) => ahead >= ackQuorum),
  },
  {
    name: 'a late acknowledgement of the former segment that counts for the next',
    // Before that it is found by what a later seal lacks (I10).
    from: 27,
    finds: /I7/,
    plant: decide('isOf', () => true),
  },
  {
    name: 'members of the former group that count for the next segment',
    finds: /I7/,
    plant: decide('countedAfterRoll', (before) => before),
  },
  {
    name: 'a segment that goes on while its seal may be made',
    finds: /I8|I7/,
    plant: decide('mayCommit', () => true),
  },
  {
    name: 'a swap whose answer was lost and that is taken for not made',
    finds: /I8|I7|I1\b|I12/,
    plant: decide('isSettled', () => true),
  },
  {
    name: 'a record of somebody else that is taken for the own one',
    finds: /I1\b|I8/,
    plant: decide('isMine', () => true),
  },
  {
    name: 'a read that is not confirmed',
    finds: /I12/,
    plant: () =>
      replace<[(tail: Lsn | null) => void]>(
        NodeShell,
        'tail',
        () =>
          function tail(this: NodeShell, done): void {
            done(this.leader === null || !this.isServing ? null : this.leader.committed.lsn)
          },
      ),
  },
  {
    name: 'a read that a seal quorum confirms',
    finds: /I12/,
    plant: decide('confirmQuorum', (policy) => sealQuorum(policy)),
  },
  {
    name: 'a read that is confirmed by a group that may be a former one',
    // One history in a hundred or so shows it.
    from: 401,
    finds: /I12/,
    plant: decide('mayConfirm', () => true),
  },
  {
    name: 'a reader that gets what is not committed',
    finds: /I11/,
    plant: decide('readableUpTo', (_committed, flushed) => flushed),
  },
  {
    name: 'a trim of what is in no archive yet',
    finds: /I13/,
    plant: decide('mayTrim', () => true),
  },
  {
    name: 'a trim above what the record says',
    finds: /I13/,
    plant: decide('trimUpTo', (_trimLsn, wanted) => wanted),
  },
]
