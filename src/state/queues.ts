import type { QueueForm } from '../actions/action.ts'
import { limits } from '../kernel/limits.ts'

/** Where a command waits its turn. */
export interface Place {
  /** Name of its queue, whether anybody has registered limits for it or not. */
  readonly name: string
  readonly partition: string
  readonly priority: number
}

/** When commands were started: so many at, or before, a time. */
type Starts = [atMs: number, count: number]

/** One partition of a queue. */
export interface Lane {
  readonly name: string
  readonly partition: string
  /** Commands that were started and have not ended, and workflows that were started by one and have not ended. */
  taken: number
  /** Those that the rate limit still counts, the earliest first. */
  starts: Starts[]
  /** How long that is, as it was when the last one was started. */
  periodMs: number
}

export interface QueuesSlice {
  /** Those in use, by `laneKey`, the one that was looked at longest ago first. */
  readonly lanes: Map<string, Lane>
  /** By the aggregate key of each workflow that holds a slot, its lane. */
  readonly holders: Map<string, string>
  /** The latest time at which anything was started that has a place. */
  latestMs: number
}

export type QueueForms = ReadonlyMap<string, QueueForm>

/** What keeps the next command of a lane from being started; null: nothing. */
export type Shortage =
  | { readonly what: 'slots'; readonly taken: number; readonly of: number }
  | { readonly what: 'rate'; readonly nextMs: number }

export const emptyQueues = (): QueuesSlice => ({ lanes: new Map(), holders: new Map(), latestMs: 0 })

export const laneKey = ({ name, partition }: Pick<Place, 'name' | 'partition'>): string => `${name}\n${partition}`

/** More starts of one lane are told apart by no less than this part of the period: counted as of the later one. */
const startsKept = 64

/** @param more about to be started already */
export function shortageOf(
  { lanes, holders }: QueuesSlice,
  forms: QueueForms,
  place: Place,
  atMs: number,
  more = 0,
): Shortage | null {
  const form = forms.get(place.name)
  if (form === undefined) return null
  const lane = lanes.get(laneKey(place))
  const taken = (lane?.taken ?? 0) + more
  if (form.concurrency !== undefined && taken >= form.concurrency) return { what: 'slots', taken, of: form.concurrency }
  if (form.concurrency !== undefined && holders.size >= limits.slotsHeldMax)
    return { what: 'slots', taken: holders.size, of: limits.slotsHeldMax }
  if (form.rateLimit === undefined) return null
  const { limit, periodMs } = form.rateLimit
  let free = limit - more
  for (const [, count] of counted(lane, atMs, periodMs)) free -= count
  if (free > 0) return null
  return { what: 'rate', nextMs: nextFree(counted(lane, atMs, periodMs), free, atMs, periodMs) }
}

const counted = (lane: Lane | undefined, atMs: number, periodMs: number): readonly Starts[] =>
  (lane?.starts ?? []).filter(([startedMs]) => startedMs > atMs - periodMs)

/** When so many of the starts have left the period that there is room for one. */
function nextFree(starts: readonly Starts[], free: number, atMs: number, periodMs: number): number {
  let room = free
  for (const [startedMs, count] of starts) {
    room += count
    if (room > 0) return startedMs + periodMs
  }
  return atMs + periodMs
}

/** A command is started for the first time. @returns false where that is void: there is no room for it. */
export function takeSlot(slice: QueuesSlice, forms: QueueForms, place: Place, startedMs: number): boolean {
  const key = laneKey(place)
  const known = slice.lanes.get(key)
  // Time never goes back here: a draft of before a restart of the dispatcher counts as of now.
  const atMs = Math.max(startedMs, known?.starts.at(-1)?.[0] ?? 0)
  if (shortageOf(slice, forms, place, atMs) !== null) return false
  slice.latestMs = Math.max(slice.latestMs, atMs)
  const lane = known ?? { name: place.name, partition: place.partition, taken: 0, starts: [], periodMs: 0 }
  lane.taken++
  const rate = forms.get(place.name)?.rateLimit
  if (rate !== undefined) noteStart(lane, atMs, rate.periodMs)
  slice.lanes.set(key, lane)
  forgetIdle(slice)
  return true
}

function noteStart(lane: Lane, atMs: number, periodMs: number): void {
  lane.periodMs = periodMs
  lane.starts = [...counted(lane, atMs, periodMs)]
  const last = lane.starts.at(-1)
  const isNear = last !== undefined && (last[0] === atMs || atMs - last[0] < periodMs / startsKept)
  if (last !== undefined && isNear && (last[0] === atMs || lane.starts.length >= startsKept)) {
    last[0] = atMs
    last[1]++
  } else lane.starts.push([atMs, 1])
}

/** A command that had taken a slot has ended, or the workflow that held it. */
export function leaveSlot(slice: QueuesSlice, key: string): void {
  const lane = slice.lanes.get(key)
  if (lane === undefined) return
  lane.taken--
  if (lane.taken === 0 && lane.starts.length === 0) slice.lanes.delete(key)
}

/** The workflow keeps the slot of the command that has started it. */
export function holdSlot({ holders }: QueuesSlice, workflow: string, key: string): void {
  holders.set(workflow, key)
}

export function endHolder(slice: QueuesSlice, workflow: string): void {
  const key = slice.holders.get(workflow)
  if (key === undefined) return
  slice.holders.delete(workflow)
  leaveSlot(slice, key)
}

/** With each start two lanes are looked at: those that nothing is counted in any more go. */
function forgetIdle({ lanes, latestMs }: QueuesSlice): void {
  let looked = 0
  for (const [key, lane] of lanes) {
    if (looked++ === 2) return
    lanes.delete(key)
    if (lane.taken > 0 || counted(lane, latestMs, lane.periodMs).length > 0) lanes.set(key, lane)
  }
}
