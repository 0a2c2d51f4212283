import { assert } from '../kernel/assert.ts'

/**
 * What recovery saw. Five small facts; every combination of them has exactly one row below, and a test counts.
 * The form is TigerBeetle's (`src/vsr/journal.zig`, recovery cases as a table).
 */
export interface Observation {
  /** Whose journal it is. `newer`: written in a format that this program does not know. */
  readonly identity: 'own' | 'foreign' | 'newer'
  /**
   * Segments as files: `broken` when one is missing between others, or says something else than its place or its name;
   * `brokenBefore` when that is so among the old ones that replay does not need; `startMissing` when the oldest one begins
   * behind the first entry that is needed.
   */
  readonly chain: 'whole' | 'broken' | 'brokenBefore' | 'startMissing'
  /** What is behind the last valid frame. */
  readonly tail: TailState
  /** Whether the end of the valid frames reaches everything that is known to have been flushed. */
  readonly floor: 'reached' | 'missed'
  /** Whether an operator asked to go on without what is damaged. */
  readonly acceptLoss: boolean
}

/**
 * - `clean`: zeros to the end
 * - `remains`: bytes that are no valid frame, and nothing valid behind them
 * - `unwritten`: a valid frame further on, and whole sectors of the bad one never reached the medium. Several frames may be
 *   written between two flushes, and the disk may keep a later one and lose an earlier one
 * - `damaged`: a valid frame further on, and the bad one was there as a whole
 * - `misplaced`: a sound frame that was meant for another place
 */
export type TailState = 'clean' | 'remains' | 'unwritten' | 'damaged' | 'misplaced'

export type RecoveryRule = 'R0' | 'R5' | 'R6' | 'R7' | 'R8'

/**
 * - `open`: go on behind the last valid frame
 * - `truncate`: keep a copy of the tail aside, zero it, go on
 * - `giveUp`: keep everything behind the last valid frame aside, go on there on a new timeline
 * - `giveUpOlder`: keep the segments up to the break aside, look again
 * - `refuse…`: change nothing, stop
 */
export type RecoveryAction =
  | 'open'
  | 'truncate'
  | 'giveUp'
  | 'giveUpOlder'
  | 'refuseForeign'
  | 'refuseNewer'
  | 'refuseCorrupt'
  | 'refuseMissing'

export interface RecoveryCase {
  readonly rule: RecoveryRule
  readonly action: RecoveryAction
  /** The values that it is for; a fact that is not mentioned may have any. */
  readonly when: { readonly [Fact in keyof Observation]?: readonly Observation[Fact][] }
  readonly because: string
}

const tearable: readonly TailState[] = ['remains', 'unwritten']

export const recoveryTable: readonly RecoveryCase[] = [
  {
    rule: 'R0',
    action: 'refuseForeign',
    when: { identity: ['foreign'] },
    because: 'the files belong to another database',
  },
  {
    rule: 'R0',
    action: 'refuseNewer',
    when: { identity: ['newer'] },
    because: 'a newer release wrote it',
  },
  {
    rule: 'R7',
    action: 'refuseMissing',
    when: { identity: ['own'], chain: ['startMissing'] },
    because: 'entries that are needed were in segments that are gone; no new timeline can bring them back',
  },
  {
    rule: 'R6',
    action: 'refuseCorrupt',
    when: { identity: ['own'], chain: ['broken', 'brokenBefore'], acceptLoss: [false] },
    because: 'no crash takes a segment out of the middle or exchanges one',
  },
  {
    rule: 'R6',
    action: 'giveUp',
    when: { identity: ['own'], chain: ['broken'], acceptLoss: [true] },
    because: 'an operator accepted the loss',
  },
  {
    rule: 'R6',
    action: 'giveUpOlder',
    when: { identity: ['own'], chain: ['brokenBefore'], acceptLoss: [true] },
    because: 'an operator accepted the loss of old entries; what is needed is still to be looked at',
  },
  {
    rule: 'R8',
    action: 'open',
    when: { identity: ['own'], chain: ['whole'], tail: ['clean'], floor: ['reached'] },
    because: 'all that was flushed is there, and nothing else',
  },
  {
    rule: 'R7',
    action: 'refuseMissing',
    when: { identity: ['own'], chain: ['whole'], tail: ['clean'], floor: ['missed'], acceptLoss: [false] },
    because: 'the end is below what was flushed: acknowledged entries are missing',
  },
  {
    rule: 'R7',
    action: 'giveUp',
    when: { identity: ['own'], chain: ['whole'], tail: ['clean'], floor: ['missed'], acceptLoss: [true] },
    because: 'an operator accepted the loss',
  },
  {
    rule: 'R5',
    action: 'truncate',
    when: { identity: ['own'], chain: ['whole'], tail: tearable, floor: ['reached'] },
    because: 'written, never flushed, torn by a crash: nobody was told of it',
  },
  {
    rule: 'R6',
    action: 'refuseCorrupt',
    when: { identity: ['own'], chain: ['whole'], tail: tearable, floor: ['missed'], acceptLoss: [false] },
    because: 'the bad frame had been flushed: acknowledged entries are damaged',
  },
  {
    rule: 'R6',
    action: 'giveUp',
    when: { identity: ['own'], chain: ['whole'], tail: tearable, floor: ['missed'], acceptLoss: [true] },
    because: 'an operator accepted the loss',
  },
  {
    rule: 'R6',
    action: 'refuseCorrupt',
    when: { identity: ['own'], chain: ['whole'], tail: ['damaged', 'misplaced'], acceptLoss: [false] },
    because: 'a crash tears the end; it does not damage what has valid frames behind it, nor move frames',
  },
  {
    rule: 'R6',
    action: 'giveUp',
    when: { identity: ['own'], chain: ['whole'], tail: ['damaged', 'misplaced'], acceptLoss: [true] },
    because: 'an operator accepted the loss',
  },
]

export function rowsFor(observation: Observation): RecoveryCase[] {
  return recoveryTable.filter((row) => fits(row, observation))
}

/** The one row of the table for this observation. */
export function decide(observation: Observation): RecoveryCase {
  const rows = rowsFor(observation)
  const [row] = rows
  assert(row && rows.length === 1, `${rows.length} recovery rules for ${JSON.stringify(observation)}`)
  return row
}

function fits({ when }: RecoveryCase, observation: Observation): boolean {
  return (Object.keys(when) as (keyof Observation)[]).every((fact) =>
    (when[fact] as readonly unknown[]).includes(observation[fact]),
  )
}

/**
 * R9, for whoever follows the journal: whether the state that it built may be kept. `digest` compares the digest of the
 * frame that ends at its applied LSN with the journal's; `unknown` when that frame is no longer at hand.
 */
export interface FollowerObservation {
  readonly applied: 'within' | 'aboveEnd'
  readonly digest: 'same' | 'different' | 'unknown'
}

/** Discards when it had acted on entries that were written but never became durable. */
export function decideFollower({ applied, digest }: FollowerObservation): 'keep' | 'discard' {
  return applied === 'aboveEnd' || digest === 'different' ? 'discard' : 'keep'
}
