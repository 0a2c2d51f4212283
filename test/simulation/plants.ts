import { actionCodes } from '../../src/actions/action-codes.ts'
import { codeOf } from '../../src/actions/entry-layout.ts'
import { ApplicationRuntime } from '../../src/application/application-runtime.ts'
import { DraftOutcomes } from '../../src/application/draft-outcomes.ts'
import type { LiveAggregate, Work } from '../../src/application/live-aggregates.ts'
import { Archiver } from '../../src/archive/archiver.ts'
import { Dispatcher } from '../../src/dispatcher/dispatcher.ts'
import { Gateway } from '../../src/gateway/gateway.ts'
import type { Attested, Watermark } from '../../src/ipc/journal-protocol.ts'
import type { PayloadCheck } from '../../src/journal/frame.ts'
import { JournalAppender } from '../../src/journal/journal-appender.ts'
import { JournalScanner } from '../../src/journal/journal-scanner.ts'
import { SegmentCursor } from '../../src/journal/segment-cursor.ts'
import { Attestation } from '../../src/journal-writer/attestation.ts'
import { type Lsn, lsn } from '../../src/kernel/identifiers.ts'
import { ProjectionApplier } from '../../src/projection-applier/projection-applier.ts'
import { TableWriter } from '../../src/projection-applier/table-writer.ts'
import type { RootState } from '../../src/state/root.ts'
import { TokenGuard } from '../../src/state/token-guard.ts'
import type { WriteBatch } from '../../src/store/key-value-store.ts'

/** A mistake that somebody could make, put in from outside for as long as a test of the simulation needs it. */
export interface Plant {
  readonly name: string
  /** What the simulation must find, in its own words. */
  readonly finds: RegExp
  /** The first seed to look at, where few histories show it and the first ones do not. Default: 1. */
  readonly from?: number
  /** @returns how to take it out. */
  plant(): () => void
}

export type Method<Arguments extends unknown[]> = (...args: Arguments) => unknown

/** Puts another method in the place of one, and tells it what it replaces. */
export function replace<Arguments extends unknown[]>(
  type: { readonly prototype: object },
  name: string,
  make: (original: Method<Arguments>) => (this: never, ...args: Arguments) => unknown,
): () => void {
  const prototype = type.prototype as Record<string, unknown>
  const original = prototype[name] as Method<Arguments>
  prototype[name] = make(original)
  return () => {
    prototype[name] = original
  }
}

export const all =
  (...undo: readonly (() => void)[]) =>
  (): void => {
    for (const one of undo) one()
  }

type FlushDone = (flushed: Lsn, error: null) => void

interface Role {
  readonly state: RootState
}

const roles = [Dispatcher, ProjectionApplier, Gateway, ApplicationRuntime]

/** Every role that applies entries does `after` to its state. */
const afterApplying = (after: (state: RootState) => void): (() => void) =>
  all(
    ...roles.map((role) =>
      replace<unknown[]>(
        role,
        'apply',
        (original) =>
          function apply(this: Role, ...args): void {
            original.apply(this, args)
            after(this.state)
          },
      ),
    ),
  )

/** The same, but for a property that is computed. */
function replaceGetter(type: { readonly prototype: object }, name: string, get: () => unknown): () => void {
  const { prototype } = type
  const original = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor
  Object.defineProperty(prototype, name, { ...original, get })
  return () => {
    Object.defineProperty(prototype, name, original)
  }
}

type ScanResult = ReturnType<JournalScanner['result']>

/** Recovery decides on something else than what was seen. */
const replaceResult = (change: (seen: ScanResult) => ScanResult): (() => void) =>
  replace<[]>(
    JournalScanner,
    'result',
    (original) =>
      function result(this: JournalScanner): ScanResult {
        return change(original.call(this) as ScanResult)
      },
  )

export const plants: readonly Plant[] = [
  {
    name: 'a guard that admits every token',
    finds: /G5|G3|ends \d+, which is|ends \d+ under|is at revision/,
    plant: () => replace(TokenGuard, 'admits', () => () => true),
  },
  {
    name: 'a gateway that answers before the flush',
    // or another command has got the number of the one that was lost
    finds: /G1|was answered with command/,
    plant: () =>
      replace<unknown[]>(
        Gateway,
        'applied',
        (original) =>
          function applied(this: Gateway): void {
            this.watermark({ ...this.marks, flushed: this.state.lsn, checkpointWanted: lsn(0), storeAgrees: true })
            original.call(this)
          },
      ),
  },
  {
    name: 'an applier that applies what is not flushed',
    // Readers see what never became an entry, or another one in its place.
    finds: /journal_corrupt|not in the journal|G[1789]|is missing|fails|cannot be archived/,
    from: 170,
    plant: () =>
      replace<[Buffer, number, Lsn, Lsn]>(
        ProjectionApplier,
        'apply',
        (original) =>
          function apply(this: ProjectionApplier, ...args): void {
            original.apply(this, args)
            this.watermark({
              written: args[3],
              flushed: args[3],
              applied: this.committed,
              checkpointWanted: lsn(0),
              storeAgrees: true,
            })
          },
      ),
  },
  {
    name: 'a flush that only says so',
    // What was acknowledged is missing: to the journal writer that comes next, to who compares, or to who judges recoveries.
    finds: /had been flushed \(R7\)|is damaged .*\(R6|G[18]|M1: recovered up to \d+, acknowledged \d+, nothing damaged/,
    plant: () =>
      replace<[FlushDone]>(
        JournalAppender,
        'flush',
        () =>
          function flush(this: JournalAppender, done): void {
            const target = this.writtenLsn
            queueMicrotask(() => {
              this.flushedLsn = target
              done(target, null)
            })
          },
      ),
  },
  {
    name: 'reducers that forget keys and calls',
    // The projection applier forgets after other entries than the others: their states differ.
    finds: /G[3678]|never ended|carries out|no command|the state of projection-applier has the hash/,
    plant: () =>
      afterApplying(({ idempotency }) => {
        idempotency.recentKeys.clear()
        idempotency.sessions.clear()
      }),
  },
  {
    name: 'one role that counts events differently',
    finds: /G7/,
    plant: () =>
      replace<unknown[]>(
        Dispatcher,
        'apply',
        (original) =>
          function apply(this: Role, ...args): void {
            original.apply(this, args)
            if (this.state.globalPosition === 5) this.state.globalPosition = 6
          },
      ),
  },
  {
    name: 'a dispatcher that is misheard when it says the hash of its state',
    finds: /dispatcher fails: .*the state of dispatcher has the hash misheard/,
    plant: () =>
      replace<[string, Attested]>(
        Attestation,
        'vote',
        (original) =>
          function vote(this: Attestation, name, said): void {
            original.call(this, name, name === 'dispatcher' ? { ...said, hash: 'misheard' } : said)
          },
      ),
  },
  {
    name: 'a role that skips a batch',
    finds: /follows entry/,
    plant: () => {
      let batches = 0
      return replace<unknown[]>(
        Dispatcher,
        'apply',
        (original) =>
          function apply(this: Dispatcher, ...args): void {
            if (++batches % 50 !== 0) original.apply(this, args)
          },
      )
    },
  },
  {
    name: 'an application that does not hear of refusals',
    finds: /liveness|never ended|had no answer within/,
    plant: () => replace(ApplicationRuntime, 'refused', () => () => {}),
  },
  {
    name: 'an application that believes the store to have everything',
    // It decides on a state that lacks events: a wrong answer, or a wrong revision, whichever a history shows first.
    finds: /base revision|is at revision|with insufficient_funds, not/,
    plant: () =>
      replace<[Watermark]>(
        ApplicationRuntime,
        'watermark',
        (original) =>
          function watermark(this: ApplicationRuntime, mark): void {
            original.call(this, { ...mark, applied: mark.written })
          },
      ),
  },
  {
    name: 'a gateway that forgets what it drafted when it loses the journal writer',
    finds: /timeout|no answer within|comes back in order/,
    plant: () => replace(Gateway, 'connected', () => () => {}),
  },
  {
    name: 'a dispatcher that does not look again after a lost connection',
    finds: /liveness|never ended|had no answer within/,
    from: 86,
    plant: () => replace(Dispatcher, 'connected', () => () => {}),
  },
  {
    name: 'a segment that is removed before the archive has it',
    finds: /removed before the archive has it/,
    plant: () => replaceGetter(Archiver, 'archivedLsn', () => Number.MAX_SAFE_INTEGER),
  },
  {
    name: 'a close that lets later commands through',
    finds: /not "stream_(closed|deleted)"|is to be stream_(closed|deleted)|fails \d+ in attempt/,
    plant: () =>
      replace<[LiveAggregate, Work, number]>(
        DraftOutcomes,
        'add',
        (original) =>
          function add(this: DraftOutcomes, ...args): unknown {
            if (!args[0].isDeleted) args[0].closedLsn = lsn(0)
            return original.apply(this, args)
          },
      ),
  },
  {
    name: "a deletion that takes a pending command's events",
    finds: /G8: .* deleted by|fails:/,
    plant: () => {
      let state: RootState | null = null
      const look = replace<unknown[]>(
        ProjectionApplier,
        'apply',
        (original) =>
          function apply(this: Role, ...args): void {
            ;({ state } = this)
            original.apply(this, args)
          },
      )
      const takeAll = replace<[WriteBatch, Buffer, number, unknown]>(
        TableWriter,
        'apply',
        (original) =>
          function apply(this: TableWriter, ...args): void {
            const [, b, o] = args
            const queues = state?.commands.byAggregate
            const pending = codeOf(b, o) === actionCodes['stream/deleted'] ? [...(queues ?? [])] : []
            for (const [key] of pending) queues?.delete(key)
            original.apply(this, args)
            for (const [key, queue] of pending) queues?.set(key, queue)
          },
      )
      return all(takeAll, look)
    },
  },
  {
    name: 'a recovery that takes damage in the middle for a torn end',
    // Or the start after it does, which finds entries missing where nothing is damaged any more.
    finds: /M1: recovered up to \d+ in silence|M3: nothing is damaged: the journal ends/,
    plant: () =>
      replaceResult((seen) =>
        seen.tail === 'damaged' ? { ...seen, tail: 'remains', floorLsn: lsn(seen.end.nextLsn - 1) } : seen,
      ),
  },
  {
    name: 'a recovery that does not miss what was flushed',
    // Or the writer's second look at the store does, and nothing that an operator does helps.
    finds: /M1: recovered up to \d+ in silence|liveness: .*journal-writer is down/,
    plant: () => replaceResult((seen) => ({ ...seen, floorLsn: lsn(0) })),
  },
  {
    name: 'a recovery that does not look into frames',
    // In the one before, the store's own comparison (R9) comes first.
    from: 62,
    finds: /M2: the frame of entry \d+ is damaged and was taken for sound|decides .*, not|uncaught/,
    plant: () =>
      replace<unknown[]>(
        SegmentCursor,
        'wholeFrame',
        (original) =>
          function wholeFrame(this: { check: PayloadCheck }, ...args): unknown {
            this.check = 'none'
            return original.apply(this, args)
          },
      ),
  },
]
