import type { Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import type { CommanderError } from '../kernel/errors.ts'
import { noEpoch } from '../kernel/identifiers.ts'
import type { Member, ReportIsAnswer, ServerAnswer, ServerId, StatusIsAnswer } from './messages.ts'
import type { RegisteredServer } from './registered-server.ts'
import { ServerConnections } from './server-connections.ts'
import { connectionEnd } from './silence-text.ts'

/** What a journal server said of itself last. */
export interface SurveyedServer {
  readonly report: ReportIsAnswer
  /** By stream, as far as it was asked. */
  readonly streams: ReadonlyMap<string, StatusIsAnswer>
}

export interface SurveyOptions {
  readonly environment: Environment
  readonly transport: Transport
  /** One has answered, under the identity that it is registered with. */
  readonly heard?: (server: RegisteredServer, said: SurveyedServer) => void
}

const idMax = 0x7fffffff

/** Asks journal servers how they are, over connections of its own. Who does not answer is not heard of: nothing is concluded here. */
export class ServerSurvey {
  readonly #o: SurveyOptions
  readonly #connections: ServerConnections
  readonly #said = new Map<ServerId, SurveyedServer>()
  /** Why connections ended, or could not be made. */
  readonly #ends = new Map<ServerId, string>()
  #servers: ReadonlyMap<ServerId, RegisteredServer> = new Map()
  #streams: readonly string[] = []
  #nextId = 1

  constructor(options: SurveyOptions) {
    this.#o = options
    const { environment, transport } = options
    this.#connections = new ServerConnections({
      environment,
      transport,
      answered: (answer) => this.#answered(answer),
      reported: (report) => this.#reported(report),
      connected: ({ id }) => this.#ask(id),
      disconnected: (member, error) => this.#ended(member, error),
    })
  }

  setServers(servers: readonly RegisteredServer[]): void {
    this.#servers = new Map(servers.map((server) => [server.id, server]))
    for (const id of this.#said.keys()) if (!this.#servers.has(id)) this.#said.delete(id)
    for (const id of this.#ends.keys()) if (!this.#servers.has(id)) this.#ends.delete(id)
    this.#connections.setMembers(servers)
  }

  /** All of them, about these streams. Those that are connected later are asked then. */
  ask(streams: readonly string[]): void {
    this.#streams = streams
    for (const id of this.#servers.keys()) this.#ask(id)
  }

  of(id: ServerId): SurveyedServer | null {
    return this.#said.get(id) ?? null
  }

  /** Why there was no connection to it last; null: there was none that ended. */
  endOf(id: ServerId): string | null {
    return this.#ends.get(id) ?? null
  }

  stop(): void {
    this.#connections.stop()
  }

  /** The report last: when it comes, the rest is there. */
  #ask(id: ServerId): void {
    for (const stream of this.#streams)
      this.#connections.send(id, { kind: 'status', id: this.#next(), stream, epoch: noEpoch })
    this.#connections.send(id, { kind: 'report', id: this.#next() })
  }

  #answered(answer: ServerAnswer): void {
    if (answer.kind !== 'statusIs' || !this.#isRegistered(answer)) return
    const before = this.#said.get(answer.server)
    const streams = new Map(before?.streams).set(answer.stream, answer)
    const report = before?.report ?? emptyReport(answer)
    this.#said.set(answer.server, { report, streams })
  }

  #reported(report: ReportIsAnswer): void {
    if (!this.#isRegistered(report)) return
    const said = { report, streams: this.#said.get(report.server)?.streams ?? new Map() }
    this.#said.set(report.server, said)
    this.#o.heard?.(this.#servers.get(report.server) as RegisteredServer, said)
  }

  #ended({ id, address }: Member, error: CommanderError | null): void {
    this.#ends.set(id, connectionEnd(address, error))
  }

  /** I17: another identity is somebody else. */
  #isRegistered({ server, identity }: Pick<ReportIsAnswer, 'server' | 'identity'>): boolean {
    return this.#servers.get(server)?.identity === identity
  }

  #next(): number {
    this.#nextId = (this.#nextId % idMax) + 1
    return this.#nextId
  }
}

const emptyReport = ({ server, identity }: StatusIsAnswer): ReportIsAnswer => ({
  kind: 'reportIs',
  id: 0,
  server,
  identity,
  diskBytes: 0,
  freeBytes: 0,
  streams: 0,
  alarms: 0,
})
