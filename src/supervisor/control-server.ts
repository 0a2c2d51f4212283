import type { Channel, ChannelHandlers, Listener, Transport } from '../ipc/channel.ts'
import type { Log } from '../kernel/environment.ts'
import { CommanderError, isCommanderError, toWireError } from '../kernel/errors.ts'
import type { Orchestrator } from '../replication/orchestrator.ts'
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
  type ServerOrder,
} from './control-protocol.ts'

/** What the control socket lets its peers do. */
export interface ControlTarget {
  /** @returns false if the report is not of a living child. */
  report(report: ChildReport): boolean
  status(): DatabaseStatus
  stop(): void
  /** Absent where no journal servers are started on this host. */
  readonly orchestrator?: Promise<Orchestrator> | undefined
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
        else if (kind === kindRequest) answer(channel, target, decodeRequest(body))
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

function answer(channel: Channel, target: ControlTarget, request: ControlRequest): void {
  const { id } = request
  const send = (answered: ControlAnswer): void => {
    channel.send(kindAnswer, encodeControl(answered))
  }
  const sendLater = (answered: Promise<ControlAnswer>): void => {
    answered.then(send, (error: unknown) => send({ id, error: toWireError(error) }))
  }
  switch (request.verb) {
    case 'status':
      return send({ id, status: target.status() })
    case 'stop':
      target.stop()
      return send({ id, status: target.status() })
    case 'servers':
    case 'provision':
    case 'deprovision':
      return sendLater(orchestrated(target.orchestrator, request))
    default:
      return send({ id, error: toWireError(unknownVerb(request)) })
  }
}

async function orchestrated(
  opening: Promise<Orchestrator> | undefined,
  request: ServerOrder & { readonly id: number },
): Promise<ControlAnswer> {
  const { id } = request
  const orchestrator = await opening
  if (orchestrator === undefined)
    throw new CommanderError('not_found', 'no journal servers are started on this host: its config does not say where')
  if (request.verb === 'servers') return { id, servers: await orchestrator.list() }
  if (request.verb === 'provision') return { id, changed: await orchestrator.provision(request.count) }
  await orchestrator.deprovision(request.server)
  return { id, changed: [request.server] }
}

/** A newer client may ask for what this supervisor does not know: an answer, not a broken connection. */
function unknownVerb(request: never): CommanderError {
  return new CommanderError(
    'invalid_input',
    `the supervisor does not know the request ${String((request as ControlRequest).verb)}; use the same version on both sides`,
  )
}
