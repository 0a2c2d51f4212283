import type { Scheduler, Timer } from '../kernel/environment.ts'
import type { Epoch } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { Sender } from './journal-server-state.ts'
import type { ReadRequest } from './messages.ts'

interface HeldRead {
  readonly from: Sender
  readonly request: ReadRequest
  readonly timer: Timer
}

/** Reads of what is not committed yet: they wait for it a moment, so that whoever follows need not ask again and again. */
export class HeldReads {
  private readonly scheduler: Scheduler
  private readonly waitMs: number
  /** By stream and segment. */
  private readonly held = new Map<string, Set<HeldRead>>()
  private count = 0

  constructor(scheduler: Scheduler, waitMs: number) {
    this.scheduler = scheduler
    this.waitMs = waitMs
  }

  /** False when it is to be answered at once: too many wait. `over` is called when it has waited long enough. */
  hold(from: Sender, request: ReadRequest, over: () => void): boolean {
    if (this.count >= limits.heldReadsMax || this.waitMs === 0) return false
    const key = keyOf(request.stream, request.segmentEpoch)
    const read: HeldRead = {
      from,
      request,
      timer: this.scheduler.after(this.waitMs, () => {
        this.remove(key, read)
        over()
      }),
    }
    const others = this.held.get(key) ?? new Set()
    this.held.set(key, others.add(read))
    this.count++
    return true
  }

  /** Takes out those that may be answered now. */
  take(stream: string, segmentEpoch: Epoch, isDue: (request: ReadRequest) => boolean): HeldRead[] {
    const key = keyOf(stream, segmentEpoch)
    const due = [...(this.held.get(key) ?? [])].filter(({ request }) => isDue(request))
    for (const read of due) this.remove(key, read)
    return due
  }

  /** The peer is gone. */
  drop(from: Sender): void {
    for (const [key, reads] of this.held) for (const read of reads) if (read.from === from) this.remove(key, read)
  }

  close(): void {
    for (const [key, reads] of this.held) for (const read of reads) this.remove(key, read)
  }

  private remove(key: string, read: HeldRead): void {
    const reads = this.held.get(key)
    if (!reads?.delete(read)) return
    this.count--
    read.timer.cancel()
    if (reads.size === 0) this.held.delete(key)
  }
}

const keyOf = (stream: string, segmentEpoch: Epoch): string => `${segmentEpoch} ${stream}`
