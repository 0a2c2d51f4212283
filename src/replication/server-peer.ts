import type { Channel } from '../ipc/channel.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Epoch, Lsn } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'

interface Kept {
  readonly upTo: Lsn
  readonly bytes: number
}

/** Whoever has a channel to a journal server: what he sent that is not flushed, and what waits for him to take more. */
export class ServerPeer {
  readonly channel: Channel
  /** By segment: what is to be released, and the entry that must be flushed before. */
  private readonly unflushed = new Map<string, Kept[]>()
  private deferred: (() => void)[] = []

  constructor(channel: Channel) {
    this.channel = channel
  }

  release(bytes: number): void {
    this.channel.release(bytes)
  }

  /** These bytes count against the peer's window until the segment is flushed up to here. */
  keep(stream: string, segmentEpoch: Epoch, kept: Kept): void {
    const key = keyOf(stream, segmentEpoch)
    const others = this.unflushed.get(key)
    if (others === undefined) this.unflushed.set(key, [kept])
    else others.push(kept)
  }

  /** @param upTo so far it is flushed; infinity where nothing of it waits for a flush any more */
  flushed(stream: string, segmentEpoch: Epoch, upTo: number): void {
    const key = keyOf(stream, segmentEpoch)
    const kept = this.unflushed.get(key)
    if (kept === undefined) return
    const left = kept.filter((one) => one.upTo > upTo)
    for (const one of kept) if (one.upTo <= upTo) this.channel.release(one.bytes)
    if (left.length === 0) this.unflushed.delete(key)
    else this.unflushed.set(key, left)
  }

  /** To be done once the peer has taken what it was sent. */
  defer(run: () => void): void {
    if (this.deferred.length < limits.deferredReadsMax) this.deferred.push(run)
    else this.channel.close(tooManyReads(this.channel.peer))
  }

  drain(): void {
    while (this.channel.writable) {
      const run = this.deferred.shift()
      if (run === undefined) return
      run()
    }
  }
}

const keyOf = (stream: string, segmentEpoch: Epoch): string => `${segmentEpoch} ${stream}`

const tooManyReads = (peer: string): CommanderError =>
  new CommanderError('overloaded', `${limits.deferredReadsMax} reads of ${peer} wait until it takes what it asked for`)
