import { expect } from 'vitest'
import { z } from 'zod'
import { startApplication } from '../../src/assembly/start-application.ts'
import { startDispatcher } from '../../src/assembly/start-dispatcher.ts'
import { startGateway } from '../../src/assembly/start-gateway.ts'
import { startJournalWriter } from '../../src/assembly/start-journal-writer.ts'
import { startProjectionApplier } from '../../src/assembly/start-projection-applier.ts'
import type { Surroundings } from '../../src/assembly/surroundings.ts'
import type { AdmissionLimits } from '../../src/gateway/admission.ts'
import { createHttpServer, type HttpServerOptions } from '../../src/gateway/http-server.ts'
import { createMemoryTransport } from '../../src/ipc/memory-transport.ts'
import { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { defaultFlushOptions } from '../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../src/journal-writer/retention.ts'
import type { Log } from '../../src/kernel/environment.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { defineAggregate } from '../../src/sdk/aggregate.ts'
import { type Application, defineApplication } from '../../src/sdk/application.ts'
import { defineProjection } from '../../src/sdk/projection.ts'
import { CommandRejected } from '../../src/sdk/rejection.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import type { StreamVault } from '../../src/tables/archived-streams.ts'
import { holesIn } from '../../src/tables/log-block.ts'
import { allTables, tableNames } from '../../src/tables/table-names.ts'
import { order } from './order-workflow.ts'

/** Set by tests: `charge` fails while this is true, so that a parked command can be retried. */
export const faults = { charge: false }

const account = defineAggregate({
  name: 'account',
  initialState: () => ({ balanceCents: 0 }),
  schemas: {
    commands: { deposit: z.object({ amountCents: z.number().int().positive(), note: z.string().optional() }) },
  },
  retry: { maxAttempts: 1 },
  decide: {
    deposit: (data: { amountCents: number; note?: string | undefined }) => ({ type: 'deposited', data }),
    withdraw: (data: { amountCents: number }, state) => {
      const { balanceCents } = state
      if (balanceCents >= data.amountCents) return { type: 'withdrawn', data }
      throw new CommandRejected('insufficient_funds', 'the balance is too low', { balanceCents })
    },
    charge: (missing: unknown) => {
      if (faults.charge) throw new Error(typeof missing === 'string' ? missing : 'the fee table is missing')
      return { type: 'withdrawn', data: { amountCents: 1 } }
    },
    /** Any JSON at all, or none. */
    note: (data: unknown) => ({ type: 'noted', data }),
    trace: (_data: unknown, _state, { command }) => ({ type: 'noted', data: command.metadata }),
    nothing: () => [],
    many: (data: { count: number }) => new Array(data.count).fill({ type: 'deposited', data: { amountCents: 1 } }),
    split: () => [
      { type: 'deposited', data: { amountCents: 1 } },
      { type: 'deposited', data: { amountCents: 2 } },
    ],
  },
  evolve: {
    deposited: (state, data: { amountCents: number; note?: string | undefined }) => ({
      balanceCents: state.balanceCents + data.amountCents,
    }),
    withdrawn: (state, data: { amountCents: number }) => ({ balanceCents: state.balanceCents - data.amountCents }),
    noted: (state, _data: unknown) => state,
  },
})

const balances = defineProjection({
  name: 'balances',
  version: 1,
  aggregates: [account],
  initialRow: () => ({ balanceCents: 0 }),
  on: {
    account: {
      deposited: (table, { aggregate: { id }, data }) => {
        table.put(id, { balanceCents: table.get(id).balanceCents + data.amountCents })
      },
    },
  },
})

const bank = defineApplication({ name: 'bank', aggregates: [account], projections: [balances], workflows: [order] })

export interface World {
  readonly url: string
  readonly options: HttpServerOptions
  /** Commands stay pending from here on. */
  stopApplication(): Promise<void>
  startApplication(): void
  /** Entries of the log whose events were removed. */
  holes(): number
  /** Takes no more commands in. */
  drain(): void
  pendingCommands(): number
  closeHttp(): Promise<void>
  close(): Promise<void>
}

export interface WorldOptions {
  /** Default: a bank, with workflows of orders. */
  readonly application?: Application
  readonly tokens?: HttpServerOptions['security']['tokens']
  readonly limits?: Partial<AdmissionLimits>
  readonly isApplicationStarted?: boolean
  readonly vault?: StreamVault | null
  /** How long an HTTP client may take nothing. */
  readonly stalledMs?: number
  readonly log?: Log
}

/** A whole database in memory, with its HTTP server on a real port. */
export async function openWorld({
  tokens = [],
  limits = {},
  isApplicationStarted = true,
  vault = null,
  stalledMs,
  log,
  application: hosted = bank,
}: WorldOptions = {}): Promise<World> {
  const environment = createSystemEnvironment(log)
  const store = openMemoryStore({ tables: allTables, environment })
  const storage = new MemoryStorage({ scheduler: environment.scheduler })
  const surroundings: Surroundings = {
    environment,
    transport: createMemoryTransport(environment),
    addresses: { journal: 'journal', gateway: 'gateway', applier: 'applier' },
    openStorage: () => storage,
    openStore: (access) => (access === 'write' ? store : store.reader()),
    vault,
    journalId: Buffer.alloc(16, 7),
    failed: (error) => {
      throw error
    },
  }
  const journal = { ...defaultJournalOptions, segmentBytes: 4 << 20 }
  const writer = await startJournalWriter(surroundings, {
    journal,
    flush: defaultFlushOptions,
    retention: defaultRetentionSettings,
  })
  const applier = await startProjectionApplier(surroundings, { applications: [hosted] })
  const dispatcher = startDispatcher(surroundings)
  const running = await startGateway(surroundings, { applications: [hosted], limits, journal })
  const start = () => startApplication(surroundings, { application: hosted, instance: 1, former: 'unknown' })
  let application = isApplicationStarted ? start() : null
  const { gateway, queries, waiter, streams, workflows, rebuild } = running
  const options: HttpServerOptions = {
    environment,
    gateway,
    queries,
    waiter,
    streams,
    workflows,
    rebuild,
    status: async () => ({ ready: gateway.isReady, processes: [] }),
    metrics: async () => '# HELP commands_received_total received\ncommands_received_total 1\n',
    security: { tokens },
    limits: gateway.admission.limits,
    version: '0.0.0-test',
    log: environment.log,
    ...(stalledMs === undefined ? {} : { stalledMs }),
  }
  const server = createHttpServer(options)
  const { url } = await server.listen('127.0.0.1', 0)
  await eventually(() => gateway.isReady)
  return {
    url,
    options,
    async stopApplication() {
      await application?.stop()
      application = null
    },
    startApplication() {
      application = start()
    },
    holes: () => {
      const blocks = [...store.reader().table(tableNames.log).range({})]
      return blocks.reduce((sum, { value }) => sum + holesIn(value), 0)
    },
    drain: () => gateway.drain(),
    closeHttp: () => server.close(),
    pendingCommands: () => gateway.state.commands.byLsn.size,
    async close() {
      await server.close()
      await application?.stop()
      await running.stop()
      await dispatcher.stop()
      await applier.stop()
      await writer.stop()
    },
  }
}

export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2))
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the server answered; the tests say what they expect of it
  readonly body: any
}

export interface Call {
  /** Sent as JSON, unless it is text or bytes. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export async function call(
  url: string,
  method: string,
  path: string,
  { body, headers = {} }: Call = {},
): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const content = body === undefined ? {} : { body: isRaw ? (body as string) : JSON.stringify(body) }
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(url + path, { method, headers: { ...type, ...headers }, ...content })
  const text = await response.text()
  const isJson = /^application\/(problem\+)?json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text }
}

export const get = (url: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  call(url, 'GET', path, { headers })
export const post = (url: string, path: string, options: Call = {}): Promise<Answer> => call(url, 'POST', path, options)

/** What every error is: problem details of RFC 9457, with our code. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body.code, type: answer.headers.get('content-type') }).toEqual({
    status,
    code,
    type: expect.stringMatching(/^application\/problem\+json/),
  })
  expect(answer.body).toMatchObject({
    type: expect.stringMatching(/^urn:commanderdb:/),
    title: expect.any(String),
    status,
    detail: expect.any(String),
    retryable: expect.any(Boolean),
  })
}
