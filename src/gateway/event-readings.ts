import type { Channel } from '../ipc/channel.ts'
import { clientFrames, encodeEventsHeader } from '../ipc/client-protocol.ts'
import type { Scheduler } from '../kernel/environment.ts'
import { asCommanderError, type CommanderError } from '../kernel/errors.ts'
import { type ArchivedElsewhere, isArchivedElsewhere } from '../tables/archived-streams.ts'
import type { EventLogReader } from '../tables/event-log.ts'
import { questionLimits, tooManyReadings } from './client-questions.ts'

/** Blocks of the event log sent before the event loop is given back. */
const blocksPerTurn = 32

interface Reading {
  readonly request: number
  readonly follow: boolean
  after: number
  /** For archived events. */
  isWaiting: boolean
}

export interface EventReadingsOptions {
  readonly channel: Channel
  readonly log: EventLogReader
  readonly scheduler: Scheduler
  /** Brings archived events into memory, and then goes on. */
  readonly bringBack: (elsewhere: ArchivedElsewhere, request: number, goOn: () => void) => void
  readonly failed: (request: number, error: CommanderError) => void
}

/** What one client reads of the event log: as much at a time as it takes. */
export class EventReadings {
  readonly #o: EventReadingsOptions
  readonly #readings = new Map<number, Reading>()
  #turnScheduled = false

  constructor(options: EventReadingsOptions) {
    this.#o = options
  }

  /** @throws CommanderError `overloaded` */
  add(request: number, after: number, follow: boolean): void {
    if (this.#readings.size >= questionLimits.readings) throw tooManyReadings()
    this.#readings.set(request, { request, follow, after, isWaiting: false })
    this.#turnSoon()
  }

  cancel(request: number): void {
    this.#readings.delete(request)
  }

  clear(): void {
    this.#readings.clear()
  }

  /** The store has more, or the client takes more. */
  goOn(): void {
    if (this.#readings.size > 0) this.#turnSoon()
  }

  #turnSoon(): void {
    if (this.#turnScheduled) return
    this.#turnScheduled = true
    this.#o.scheduler.soon(() => {
      this.#turnScheduled = false
      for (const reading of this.#readings.values()) this.#read(reading)
    })
  }

  #read(reading: Reading): void {
    if (reading.isWaiting) return
    try {
      this.#readOn(reading)
    } catch (error) {
      if (isArchivedElsewhere(error)) {
        reading.isWaiting = true
        this.#o.bringBack(error, reading.request, () => {
          reading.isWaiting = false
          this.#turnSoon()
        })
        return
      }
      this.#readings.delete(reading.request)
      this.#o.failed(reading.request, asCommanderError(error))
    }
  }

  #readOn(reading: Reading): void {
    const { channel, log } = this.#o
    let sent = 0
    for (const block of log.blocksFrom(reading.after + 1)) {
      const { lastPosition: last } = block
      if (last <= reading.after) continue
      if (!channel.writable) return
      const header = encodeEventsHeader(reading.request, 0, block.firstPosition)
      channel.send(clientFrames.events, header, block.entries)
      reading.after = last
      if (++sent === blocksPerTurn) {
        this.#turnSoon()
        return
      }
    }
    if (reading.follow) return
    this.#readings.delete(reading.request)
    channel.send(clientFrames.events, encodeEventsHeader(reading.request, 1, reading.after + 1))
  }
}
