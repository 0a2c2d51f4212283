import type { Action, Entry } from '../actions/action.ts'
import { decodeEntry } from '../actions/decode.ts'
import { lengthOf, padded } from '../actions/entry-layout.ts'

/** The entries of a frame's payload. */
export function entriesOf(payload: Buffer): Entry[] {
  const entries: Entry[] = []
  for (let o = 0; o < payload.length; o += padded(lengthOf(payload, o))) entries.push(decodeEntry(payload, o))
  return entries
}

/** JSON, with bytes as hexadecimal digits. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, function hexadecimal(this: Record<string, unknown>, key: string, item: unknown) {
    // Not `item`: a Buffer has turned itself into numbers already.
    const raw = this[key]
    return raw instanceof Uint8Array ? Buffer.from(raw).toString('hex') : item
  })
}

const isoLength = '2001-01-01T00:00:00.000Z'.length

/** One line for people: number, time, what it says of which aggregate, and the rest. */
export function entryLine({ lsn, wallMs, action }: Entry): string {
  const { type, ...rest } = action
  // Entries that nobody needs the time of have none.
  const at = wallMs === 0 ? '-'.padEnd(isoLength) : new Date(wallMs).toISOString()
  if (!('aggregate' in rest))
    return `${String(lsn).padStart(9)}  ${at}  ${type}  ${toJson(withoutNulls(shortened(action, rest)))}`
  const { aggregate, ...facts } = rest
  return `${String(lsn).padStart(9)}  ${at}  ${type}  ${aggregate.type}/${aggregate.id}  ${toJson(withoutNulls(facts))}`
}

/** A batch of a migration has thousands of events, in bytes that nobody can read. */
function shortened(action: Action, facts: object): object {
  if (action.type !== 'stream/migrated' || action.step.phase !== 'rewritten') return facts
  const { step } = action
  return { ...facts, step: { ...step, events: step.events.length, commands: step.commands.length } }
}

const withoutNulls = (facts: object): object =>
  Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null))
