import type { Channel, Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { type ChildReport, type ReportedState, type ReportFields, reportIntervalMs } from './child-report.ts'
import { encodeControl, kindReport } from './control-protocol.ts'

/** A child's side of its supervision. */
export interface ChildLink {
  /** Caught up and at work. Idempotent. */
  ready(): void
  /** Has to catch up again; the supervisor counts it as not ready meanwhile. */
  starting(): void
  /** Adds to what is reported from now on; sent with the next report. */
  report(fields: ReportFields): void
  /** Like `report`, but asked for freshly before each report: for numbers that change all the time. */
  sample(read: () => ReportFields): void
  /** Called once when the process is to drain and end; it exits when all of them have resolved. */
  onStop(handler: () => Promise<void> | void): void
  /** Reports `stopping` and runs the handlers, the last one registered first. Idempotent. */
  stop(): Promise<void>
}

export interface ChildLinkOptions {
  readonly name: string
  readonly role: string
  readonly pid: number
  readonly transport: Transport
  readonly address: string
  readonly environment: Pick<Environment, 'scheduler'>
  /** The process's own measurements, read for each report. */
  readonly measure: () => Pick<ChildReport, 'eventLoopLagMs' | 'rssBytes' | 'metrics'>
  /** The supervisor is gone or refuses this process, which must not go on by itself. */
  readonly lost: (error: CommanderError | null) => void
}

export function connectToSupervisor(options: ChildLinkOptions): ChildLink {
  const { name, role, pid, environment, measure } = options
  let state: ReportedState = 'starting'
  let fields: ReportFields = {}
  let read: () => ReportFields = () => ({})
  let channel: Channel | undefined
  let stopped: Promise<void> | undefined
  const handlers: (() => Promise<void> | void)[] = []

  const send = (): void => {
    channel?.send(kindReport, encodeControl({ name, role, pid, state, ...measure(), ...fields, ...read() }))
  }
  const sendRegularly = (): void => {
    send()
    environment.scheduler.after(reportIntervalMs, sendRegularly)
  }
  const become = (next: ReportedState): void => {
    if (state === next || state === 'stopping') return
    state = next
    send()
  }

  options.transport.connect(options.address, (opened) => {
    channel = opened
    return {
      frame: (_kind, body) => opened.release(body.length),
      closed: (error) => options.lost(error),
    }
  })
  sendRegularly()
  return {
    ready: () => become('ready'),
    starting: () => become('starting'),
    report(more) {
      fields = { ...fields, ...more }
    },
    sample(sampler) {
      read = sampler
    },
    onStop(handler) {
      handlers.push(handler)
    },
    stop() {
      become('stopping')
      stopped ??= runInReverse(handlers)
      return stopped
    },
  }
}

async function runInReverse(handlers: readonly (() => Promise<void> | void)[]): Promise<void> {
  for (const handler of handlers.toReversed()) await handler()
}
