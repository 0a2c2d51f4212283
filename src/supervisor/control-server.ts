import type { Channel, ChannelHandlers, Listener, Transport } from '../ipc/channel.ts'
import type { Log } from '../kernel/environment.ts'
import { CommanderError, isCommanderError, toWireError } from '../kernel/errors.ts'
import type { ChildReport } from './child-report.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  type DatabaseStatus,
  decodeReport,
  decodeRequest,
  encodeControl,
  kindAnswer,
  kindReport,
  kindRequest,
} from './control-protocol.ts'

/** What the control socket lets its peers do. */
export interface ControlTarget {
  /** @returns false if the report is not of a living child. */
  report(report: ChildReport): boolean
  status(): DatabaseStatus
  stop(): void
}

export interface ControlServerOptions {
  readonly transport: Transport
  readonly address: string
  readonly target: ControlTarget
  readonly log: Log
}

/** The supervisor's end of the control connections: takes the children's reports, answers clients. */
export function serveControl({ transport, address, target, log }: ControlServerOptions): Promise<Listener> {
  return transport.listen(address, (channel) => controlHandlers(channel, target, log))
}

function controlHandlers(channel: Channel, target: ControlTarget, log: Log): ChannelHandlers {
  return {
    frame(kind, body) {
      channel.release(body.length)
      try {
        if (kind === kindReport) takeReport(channel, target, body)
        else if (kind === kindRequest) channel.send(kindAnswer, encodeControl(answer(target, decodeRequest(body))))
        else throw new CommanderError('protocol_violation', `the control connection carried a frame of kind ${kind}`)
      } catch (error) {
        if (!isCommanderError(error)) throw error
        log.warn({ peer: channel.peer, error }, 'control connection closed')
        channel.close(error)
      }
    },
    // A child that loses its connection ends by itself, and the supervision hears of its exit.
    closed() {},
  }
}

function takeReport(channel: Channel, target: ControlTarget, body: Buffer): void {
  const report = decodeReport(body)
  if (target.report(report)) return
  // A left-over of an earlier life must not be taken for the present one; closing makes it exit.
  channel.close(new CommanderError('protocol_violation', `process ${report.pid} is not the running ${report.name}`))
}

function answer(target: ControlTarget, request: ControlRequest): ControlAnswer {
  const { id, verb } = request
  switch (verb) {
    case 'status':
      return { id, status: target.status() }
    case 'stop':
      target.stop()
      return { id, status: target.status() }
    default:
      return { id, error: toWireError(unknownVerb(verb)) }
  }
}

/** A newer client may ask for what this supervisor does not know: an answer, not a broken connection. */
function unknownVerb(verb: never): CommanderError {
  return new CommanderError(
    'invalid_input',
    `the supervisor does not know the request ${String(verb)}; use the same version on both sides`,
  )
}
