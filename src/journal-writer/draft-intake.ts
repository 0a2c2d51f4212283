import { actionTypeOf } from '../actions/action-codes.ts'
import {
  codeOf,
  entryFlags,
  flagsOf,
  isWellFormed,
  lengthOf,
  lsnOf,
  originOf,
  padded,
  referenceOf,
  sequenceOf,
  stampLsn,
  tokenOf,
} from '../actions/entry-layout.ts'
import { encodeRefused, journalFrames } from '../ipc/journal-protocol.ts'
import type { Log } from '../kernel/environment.ts'
import { CommanderError, toWireError } from '../kernel/errors.ts'
import { type Lsn, nextLsn } from '../kernel/identifiers.ts'
import type { TokenGuard } from '../state/token-guard.ts'
import type { Subscriber } from './subscriber.ts'

/** Drafts that have become entries and wait to be appended as one frame. */
export interface GatheredBatch {
  readonly payload: Buffer
  length: number
  next: Lsn
  /** Somebody waits for one of them to be flushed. */
  flush: boolean
}

/** Looks at each draft of a follower, and gives those that may become entries their LSNs. */
export class DraftIntake {
  readonly #guard: TokenGuard
  readonly #log: Log
  readonly #cutOff: (from: Subscriber, error: CommanderError) => void

  constructor(guard: TokenGuard, log: Log, cutOff: (from: Subscriber, error: CommanderError) => void) {
    this.#guard = guard
    this.#log = log
    this.#cutOff = cutOff
  }

  /** Copies the drafts that may become entries into the batch, each under its LSN. */
  admit(from: Subscriber, body: Buffer, batch: GatheredBatch): void {
    const end = body.length
    let at = 0
    while (at < end) {
      if (!isDraftOf(from, body, at)) {
        this.#cutOff(from, violation(`${from.name} sent a draft that is not well formed at byte ${at}`))
        return
      }
      const room = padded(lengthOf(body, at))
      if (from.refusing || !this.#inSequence(from, body, at)) return // I3
      if (this.#guard.admits(body, at)) {
        stampLsn(body, at, batch.next)
        this.#guard.apply(body, at)
        if ((flagsOf(body, at) & entryFlags.flush) !== 0) batch.flush = true
        body.copy(batch.payload, batch.length, at, at + room)
        batch.length += room
        batch.next = nextLsn(batch.next)
      } else {
        this.refuse(from, sequenceOf(body, at), staleToken(body, at)) // I2
      }
      at += room
    }
  }

  /**
   * None of these drafts was appended, although some had been admitted. Who was told of a later one of an ordered run
   * already is cut off: it would take a second refusal for one of what it has decided anew since.
   */
  refuseAll(drafts: readonly { readonly from: Subscriber; readonly body: Buffer }[], error: CommanderError): void {
    const told = new Set(drafts.flatMap(({ from }) => (from.ordered && from.refusing ? [from] : [])))
    for (const { from, body } of drafts) {
      for (const sequence of admittedIn(body)) {
        if (told.has(from)) this.#cutOff(from, error)
        else if (!from.ordered || !from.refusing) this.refuse(from, sequence, error)
      }
    }
  }

  refuse(from: Subscriber, sequence: number, error: CommanderError): void {
    if (from.ordered) from.refusing = true
    // Of want of room it is said once (`FullSpell`), and not of each draft that it strikes.
    if (error.code !== 'journal_full')
      this.#log.warn({ follower: from.name, sequence, code: error.code }, `draft refused: ${error.message}`)
    from.channel.send(journalFrames.refused, encodeRefused({ sequence, error: toWireError(error) }))
  }

  #inSequence(from: Subscriber, body: Buffer, at: number): boolean {
    const sequence = sequenceOf(body, at)
    if (sequence === from.expectedSequence) {
      from.expectedSequence = (sequence + 1) >>> 0
      return true
    }
    this.#cutOff(from, violation(`${from.name} sent draft ${sequence} where ${from.expectedSequence} was expected`))
    return false
  }
}

/** Sequences of the drafts that had got an LSN. */
function* admittedIn(body: Buffer): Generator<number> {
  for (let at = 0; isWellFormed(body, at, body.length); at += padded(lengthOf(body, at))) {
    if (lsnOf(body, at) !== 0) yield sequenceOf(body, at)
  }
}

const isDraftOf = (from: Subscriber, body: Buffer, at: number): boolean =>
  isWellFormed(body, at, body.length) &&
  originOf(body, at) === from.origin &&
  actionTypeOf(codeOf(body, at)) !== undefined

const violation = (message: string): CommanderError => new CommanderError('protocol_violation', message)

const staleToken = (b: Buffer, o: number): CommanderError =>
  new CommanderError('stale_token', `the assignment ${tokenOf(b, o)} of command ${referenceOf(b, o)} is over`)
