import type { Channel } from '../ipc/channel.ts'
import {
  type Applied,
  type Attested,
  decodeApplied,
  decodeAttested,
  decodeNumber,
  decodeSubscribe,
  journalFrames,
  type Subscribe,
} from '../ipc/journal-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import type { Subscriber } from './subscriber.ts'

/** What processes say to the journal writer. */
export interface WriterFrames {
  subscribe(channel: Channel, hello: Subscribe): void
  /** The body counts against the sender's window until it is released. */
  drafts(from: Subscriber, body: Buffer): void
  resume(from: Subscriber, sequence: number): void
  applied(applied: Applied): void
  switchSegment(from: Subscriber): void
  rollCall(from: Subscriber): void
  here(channel: Channel): void
  attested(from: Subscriber, attested: Attested): void
  readPoint(from: Subscriber, id: number): void
}

/** @param from undefined: it has not subscribed, and may say little; what it must not say closes its channel */
export function takeFrame(
  frames: WriterFrames,
  channel: Channel,
  from: Subscriber | undefined,
  kind: number,
  body: Buffer,
): void {
  if (kind === journalFrames.drafts && from !== undefined) return frames.drafts(from, body)
  channel.release(body.length)
  switch (kind) {
    case journalFrames.subscribe:
      return frames.subscribe(channel, decodeSubscribe(body))
    case journalFrames.applied:
      return frames.applied(decodeApplied(body))
    case journalFrames.here:
      return frames.here(channel)
    case journalFrames.attested:
      if (from !== undefined) frames.attested(from, decodeAttested(body))
      return
    default:
      if (from === undefined || !takeOfSubscriber(frames, from, kind, body)) refuse(channel, kind)
  }
}

function takeOfSubscriber(frames: WriterFrames, from: Subscriber, kind: number, body: Buffer): boolean {
  if (kind === journalFrames.resume) frames.resume(from, decodeNumber(body) >>> 0)
  else if (kind === journalFrames.switchSegment) frames.switchSegment(from)
  else if (kind === journalFrames.rollCall) frames.rollCall(from)
  else if (kind === journalFrames.readPoint) frames.readPoint(from, decodeNumber(body))
  else return false
  return true
}

function refuse(channel: Channel, kind: number): void {
  const message = `${channel.peer} sent a frame of kind ${kind} before it subscribed`
  channel.close(new CommanderError('protocol_violation', message))
}
