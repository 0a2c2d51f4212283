import { SocketDatabase } from '../../src/client/socket-database.ts'
import { ClientServer, type ClientServerOptions } from '../../src/gateway/client-server.ts'
import { applierFrames, encodeApplierFrame } from '../../src/ipc/applier-protocol.ts'
import { CallEncoder } from '../../src/ipc/call-codec.ts'
import type { Channel, ChannelHandlers, Transport } from '../../src/ipc/channel.ts'
import {
  clientFrames,
  encodeEventsHeader,
  encodeFailed,
  encodeOutcomeHeader,
  encodeQuery,
  encodeRequest,
  encodeResult,
} from '../../src/ipc/client-protocol.ts'
import { encodeApplied, encodeNumber, encodeSubscribe, journalFrames } from '../../src/ipc/journal-protocol.ts'
import { Link } from '../../src/ipc/link.ts'
import { encodeHello, headerBytes, kindGoodbye, writeCredit, writeHeader } from '../../src/ipc/wire-format.ts'
import { openJournal } from '../../src/journal/journal.ts'
import { MemoryStorage } from '../../src/journal/memory-storage.ts'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { JournalWriter } from '../../src/journal-writer/journal-writer.ts'
import { defaultFlushOptions } from '../../src/journal-writer/options.ts'
import { defaultRetentionSettings } from '../../src/journal-writer/retention.ts'
import { type Environment, silentLog } from '../../src/kernel/environment.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { lsn, noLsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ApplierServer } from '../../src/projection-applier/applier-server.ts'
import type { ProjectionApplier } from '../../src/projection-applier/projection-applier.ts'
import { TokenGuard } from '../../src/state/token-guard.ts'
import { encodeControl, kindReport, kindRequest } from '../../src/supervisor/control-protocol.ts'
import { type ControlTarget, serveControl } from '../../src/supervisor/control-server.ts'
import type { SeededRandom } from '../../src/testing/seeded-random.ts'
import { openWorld, post, type World } from '../contract/http-world.ts'
import type { FuzzLife, FuzzTarget } from './fuzz.ts'
import { mutated } from './mutations.ts'
import { validEntries } from './valid-entries.ts'

interface Frame {
  readonly kind: number
  readonly body: Buffer
}

/** One end of a connection that is spoken to, with what it is used to hear. */
interface Listening {
  readonly role: 'accepts' | 'connects'
  readonly open: (channel: Channel) => ChannelHandlers
  /** Sent first, mostly: without it nothing else is listened to. */
  readonly opening: readonly Frame[]
  readonly frames: readonly Frame[]
  readonly close?: () => Promise<void>
}

const origin = 7
const linksMax = 64

/**
 * Whoever can reach a socket can send these bytes: to the gateway, the journal writer, the applier and the supervisor,
 * and as a database to a client. Half of the frames are changed within, so that what is behind the framing is reached.
 */
export const ipcTarget: FuzzTarget = {
  inputsPerLife: 20_000,
  async open(): Promise<FuzzLife> {
    const environment = { ...createSystemEnvironment(), log: silentLog }
    const world = await openWorld()
    const listening = [
      gatewayOf(world),
      await journalWriterOf(environment),
      applier(environment),
      await supervisor(),
      silentDatabase(environment),
    ]
    const links: Link[] = []
    return {
      feed: async (random, shows) => {
        const to = random.pick(listening)
        const input = inputFor(random, to)
        shows(input)
        const link = new Link({
          peer: 'a fuzzer',
          pipe: endlessPipe,
          environment,
          bounds: {},
          open: to.open,
          role: to.role,
        })
        link.connected()
        for (let at = 0; at < input.length; ) {
          const end = random.chance(0.7) ? input.length : at + random.integer(1, 64)
          link.receive(input.subarray(at, end))
          at = end
        }
        links.push(link)
        if (links.length > linksMax) links.shift()?.ended(null)
        if (random.chance(0.05)) await turn()
      },
      check: async () => {
        await turn()
        const { status } = await post(world.url, '/v1/aggregates/account/canary/commands/deposit', {
          body: { amountCents: 1 },
        })
        if (status !== 200) throw new Error(`a command is answered with ${status}`)
      },
      close: async () => {
        for (const link of links) link.ended(null)
        await turn()
        for (const { close } of listening) await close?.()
        await world.close()
      },
    }
  },
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Takes everything and says nothing. */
const endlessPipe = { write: (): void => {}, end: (): void => {}, destroy: (): void => {} }

function inputFor(random: SeededRandom, { opening, frames }: Listening): Buffer {
  const all = [...opening, ...frames]
  const chosen = random.chance(0.9) ? [...opening] : []
  for (let count = random.integer(1, 4); count > 0; count--) chosen.push(random.pick(frames))
  const bodies = all.map(({ body }) => body)
  const encoded = chosen.map(({ kind, body }) => {
    const other = random.chance(0.05) ? random.integer(0, 0xffff) : kind
    return framed(other, random.chance(0.5) ? mutated(random, body, bodies) : body)
  })
  const stream = Buffer.concat([encodeHello(1 << 20), ...encoded])
  return random.chance(0.3) ? mutated(random, stream, encoded) : stream
}

function framed(kind: number, body: Buffer): Buffer {
  const frame = Buffer.alloc(headerBytes + body.length)
  body.copy(frame, writeHeader(frame, 0, kind, body.length))
  return frame
}

const always = (): readonly Frame[] => {
  const credit = Buffer.alloc(64)
  const end = writeCredit(credit, 0, 1000)
  return [
    { kind: 0, body: credit.subarray(headerBytes, end) },
    { kind: kindGoodbye, body: Buffer.from('{"code":"timeout","message":"bye","retryable":true}') },
  ]
}

function gatewayOf({ options }: World): Listening {
  // The HTTP server asks for less of the gateway than what it is given.
  const server = new ClientServer(options as unknown as ClientServerOptions)
  const calls = new CallEncoder()
  const key = { key: 'k', digest: Buffer.alloc(16, 3), ttlMs: 60_000 }
  const call = { command: 'deposit', session: 12, answeredBelow: 0, writtenIsEnough: false, expectedRevision: null }
  for (const [i, id] of ['1', 'ü/2', 'a b'].entries()) {
    const data = { amountCents: 5 + i, note: 'n' }
    const metadata = i === 2 ? { traceparent: '00-1-2-01' } : null
    calls.add(
      { ...call, key: `account/${id}`, data, sequence: i, wait: i, idempotencyKey: i === 1 ? key : null, metadata },
      i,
    )
  }
  const queries = [
    { ask: 'hello' },
    { ask: 'state', aggregate: 'account', id: '1', minLsn: 0 },
    { ask: 'stream', aggregate: 'account', id: '1', from: 1, limit: 10, minLsn: 0 },
    { ask: 'projection', name: 'balances', key: '1', minLsn: 0 },
    { ask: 'projection', name: 'balances', key: '1', consistency: 'linearizable', sessionLsn: 1 },
    { ask: 'projections' },
    { ask: 'rebuild', name: 'balances' },
    { ask: 'command', id: '5', waitMs: 1 },
    { ask: 'commands', state: 'parked', limit: 10 },
    { ask: 'workflow', name: 'order', id: '1' },
    { ask: 'workflowEnd', name: 'order', id: '1' },
    { ask: 'workflows', name: 'order', limit: 10 },
    { ask: 'events', after: 0, follow: true },
    { ask: 'retry', id: '3' },
    { ask: 'skip', id: '3', reason: 'r' },
  ] as const
  return {
    role: 'accepts',
    open: (channel) => server.accept(channel),
    opening: [],
    frames: [
      { kind: clientFrames.call, body: Buffer.from(calls.take()) },
      ...queries.map((query, i) => ({ kind: clientFrames.query, body: encodeQuery(i, query) })),
      { kind: clientFrames.cancel, body: encodeRequest(8) },
      ...always(),
    ],
  }
}

async function journalWriterOf(environment: Environment): Promise<Listening> {
  const storage = new MemoryStorage({ scheduler: environment.scheduler })
  const { journal } = await openJournal({
    storage,
    environment,
    journalId: Buffer.alloc(16, 1),
    serverId: Buffer.alloc(16, 1),
    options: { ...defaultJournalOptions, segmentBytes: 16 << 20 },
    floorLsn: noLsn,
    replayFrom: lsn(1),
    onBatch: () => {},
  })
  const writer = new JournalWriter({
    environment,
    journal,
    guard: new TokenGuard(),
    flush: defaultFlushOptions,
    retention: defaultRetentionSettings,
    batchBytesMax: 1 << 20,
    readBatch: () => null,
    applied: noLsn,
    checkpoint: noLsn,
    failed: (error) => {
      throw error
    },
  })
  const drafts = Buffer.concat(validEntries(origin))
  const hello = { name: 'f', origin, from: 1, nextSequence: 0, ordered: true, followsFlush: true, last: null }
  const applied = { applied: noLsn, checkpoint: noLsn, archived: null, atOnce: false }
  return {
    role: 'accepts',
    open: (channel) => writer.accept(channel),
    opening: [{ kind: journalFrames.subscribe, body: encodeSubscribe(hello) }],
    frames: [
      { kind: journalFrames.drafts, body: drafts },
      { kind: journalFrames.resume, body: encodeNumber(3) },
      { kind: journalFrames.applied, body: encodeApplied(applied) },
      { kind: journalFrames.subscribe, body: encodeSubscribe({ ...hello, name: 'g', ordered: false }) },
      ...always(),
    ],
    close: () => {
      writer.stop()
      return new Promise((resolve, reject) => journal.close((error) => (error === null ? resolve() : reject(error))))
    },
  }
}

function applier({ scheduler }: Environment): Listening {
  const applier = {
    checkpoint: noLsn,
    holds: { hold: () => (): void => {} },
    rebuild: (name: string, begun: () => void) => {
      if (name !== 'balances') throw new CommanderError('unknown_projection', name)
      begun()
    },
    takeCheckpoint: (done: (upTo: number, error: null) => void) => done(1, null),
  } as unknown as ProjectionApplier
  const server = new ApplierServer(applier, scheduler)
  const questions = [
    { ask: 'rebuild', request: 1, name: 'balances' },
    { ask: 'checkpoint', request: 2 },
    { ask: 'archive', request: 3 },
    { ask: 'hold', request: 4 },
  ] as const
  const frames = questions.map((question) => ({ kind: applierFrames.ask, body: encodeApplierFrame(question) }))
  return { role: 'accepts', open: (channel) => server.accept(channel), opening: [], frames: [...frames, ...always()] }
}

async function supervisor(): Promise<Listening> {
  let open: Listening['open'] = () => ({ frame: () => {}, closed: () => {} })
  const transport: Transport = {
    listen: async (address, accept) => {
      open = accept
      return { address, close: async () => {} }
    },
    connect: () => {},
  }
  const target: ControlTarget = {
    report: () => true,
    status: () => ({}) as ReturnType<ControlTarget['status']>,
    stop: () => {},
    orchestrator: Promise.resolve({
      list: async () => [],
      provision: async () => [],
      deprovision: async () => {},
    }),
  }
  await serveControl({ transport, address: 'control', target, log: silentLog })
  const report = { name: 'gateway', pid: 1, state: 'ready', rssBytes: 1, eventLoopLagMs: 1, metrics: [] } as never
  const frames = [
    { kind: kindReport, body: encodeControl(report) },
    { kind: kindRequest, body: encodeControl({ id: 1, verb: 'status' }) },
    { kind: kindRequest, body: encodeControl({ id: 2, verb: 'stop' }) },
    { kind: kindRequest, body: encodeControl({ id: 3, verb: 'provision', count: 2 }) },
    { kind: kindRequest, body: encodeControl({ id: 4, verb: 'deprovision', server: 'server-1' }) },
  ]
  return { role: 'accepts', open, opening: [], frames: [...frames, ...always()] }
}

/** A database that the client connects to, which answers with whatever it is made to. */
function silentDatabase(environment: Environment): Listening {
  let open: Listening['open'] = () => ({ frame: () => {}, closed: () => {} })
  const transport: Transport = {
    listen: async () => {
      throw new Error('nobody listens here')
    },
    connect: (_address, accept) => {
      open = accept
    },
  }
  const client = new SocketDatabase({ environment, transport, addresses: ['x'], timeoutMs: 1000 })
  client.open().catch(() => {})
  const [entry = Buffer.alloc(0)] = validEntries().slice(2)
  const header = { request: 1, code: 3, durability: 1, flags: 0, commandLsn: 1, endLsn: 2, firstPosition: 1 }
  const failure = { code: 'overloaded', message: 'm', retryable: true, details: { retryAfterMs: 1 } } as const
  const frames = [
    { kind: clientFrames.outcome, body: Buffer.concat([encodeOutcomeHeader(header), entry]) },
    { kind: clientFrames.failed, body: encodeFailed(1, failure) },
    { kind: clientFrames.result, body: encodeResult(1, { limits: {}, written: 1 }) },
    { kind: clientFrames.events, body: Buffer.concat([encodeEventsHeader(1, 0, 1), entry]) },
    ...always(),
  ]
  return {
    role: 'connects',
    open: (channel) => {
      const call = client.execute('account', '1', 'deposit', { amountCents: 1 })
      call.catch(() => {})
      return open(channel)
    },
    opening: [],
    frames,
    close: () => client.close(),
  }
}
