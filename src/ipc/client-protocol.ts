import { pack, unpack } from '../actions/message-pack.ts'
import type { WireError } from '../kernel/errors.ts'
import { readUint64, writeUint64 } from '../kernel/integers.ts'

/** The frames between a client and the gateway. */
export const clientFrames = {
  /** client -> gateway: drafts of `command/received`; the sequence of each is its request id, its variant what to wait for. */
  call: 1,
  /** gateway -> client: what came of a call. */
  outcome: 2,
  /** gateway -> client: a call or query failed. */
  failed: 3,
  /** client -> gateway: a question. */
  query: 4,
  /** gateway -> client: its answer. */
  result: 5,
  /** gateway -> client: a block of the event log. */
  events: 6,
  /** client -> gateway: no more of these, please. */
  cancel: 7,
} as const

/** When a call is answered. ended: of the start of a workflow, when that has ended, by the entry that says so. */
export const waitModes = { completed: 0, received: 1, applied: 2, ended: 3 } as const
export type WaitMode = keyof typeof waitModes

/** Added to the wait mode of a call: it is to be refused where `replicated` cannot be promised. */
export const replicatedWanted = 256

export const outcomeFlags = { duplicate: 1 } as const
/** How far what an answer says has come, by number. In the order of their strength: written, flushed, replicated, applied. */
export const durabilities: readonly ['written', 'flushed', 'applied', 'replicated'] = [
  'written',
  'flushed',
  'applied',
  'replicated',
]
export type Durability = (typeof durabilities)[number]

/**
 * known: what this node has. linearizable: everything that was acknowledged as flushed, by any node, before the read began.
 */
export const consistencies: readonly ['known', 'linearizable'] = ['known', 'linearizable']
export type Consistency = (typeof consistencies)[number]

/** What a read has to see at least. */
export interface ReadFloor {
  /** What this entry changed. Default: what this gateway has told anybody is done. */
  readonly minLsn?: number
  /** Beside that, what the reader's session has seen, on whichever node. */
  readonly sessionLsn?: number
  /** Default `known`. */
  readonly consistency?: Consistency
}

export const outcomeHeaderBytes = 40

/** | u32 request | u8 action code | u8 durability | u16 flags | u64 command LSN | u64 LSN of its end | u64 first position | u64 aggregate revision | then the entry. */
export interface OutcomeHeader {
  request: number
  code: number
  durability: number
  flags: number
  commandLsn: number
  endLsn: number
  firstPosition: number
}

export function encodeOutcomeHeader(header: OutcomeHeader): Buffer {
  const b = Buffer.allocUnsafe(outcomeHeaderBytes)
  b.writeUInt32LE(header.request, 0)
  b[4] = header.code
  b[5] = header.durability
  b.writeUInt16LE(header.flags, 6)
  writeUint64(b, header.commandLsn, 8)
  writeUint64(b, header.endLsn, 16)
  writeUint64(b, header.firstPosition, 24)
  writeUint64(b, 0, 32)
  return b
}

export const requestOf = (b: Buffer): number => b.readUInt32LE(0)

export const decodeOutcomeHeader = (b: Buffer): OutcomeHeader => ({
  request: b.readUInt32LE(0),
  code: b[4] as number,
  durability: b[5] as number,
  flags: b.readUInt16LE(6),
  commandLsn: readUint64(b, 8),
  endLsn: readUint64(b, 16),
  firstPosition: readUint64(b, 24),
})

/** What a client may ask. */
export type Query =
  | { readonly ask: 'hello' }
  | ({
      readonly ask: 'state'
      readonly aggregate: string
      readonly id: string
      readonly atLsn?: number
    } & ReadFloor)
  | ({
      readonly ask: 'stream'
      readonly aggregate: string
      readonly id: string
      readonly from: number
      readonly limit: number
    } & ReadFloor)
  | ({ readonly ask: 'projection'; readonly name: string; readonly key: string } & ReadFloor)
  | { readonly ask: 'projections' | 'schedules' | 'queues' }
  | { readonly ask: 'rebuild'; readonly name: string }
  | { readonly ask: 'command'; readonly id: string; readonly waitMs?: number }
  | {
      readonly ask: 'commands'
      readonly state: 'parked' | 'pending'
      readonly limit: number
      readonly after?: number
    }
  | {
      readonly ask: 'streamLife' | 'closeStream' | 'deleteStream'
      readonly aggregate: string
      readonly id: string
    }
  | { readonly ask: 'archiveStream'; readonly aggregate: string; readonly id: string; readonly upTo?: number }
  | { readonly ask: 'retry'; readonly id: string }
  | { readonly ask: 'skip'; readonly id: string; readonly reason: string }
  | {
      readonly ask: 'workflow' | 'workflowRecord'
      readonly name: string
      readonly id: string
      readonly minLsn?: number
    }
  /** Answered when it has ended, by the entry that says so. */
  | { readonly ask: 'workflowEnd'; readonly name: string; readonly id: string }
  | {
      readonly ask: 'workflows'
      readonly name?: string
      readonly status?: string
      readonly limit: number
      readonly after?: string
      readonly waiting?: boolean
    }
  /** Blocks of the event log after a position; for ever with `follow`. */
  | ({ readonly ask: 'events'; readonly after: number; readonly follow: boolean } & ReadFloor)

function withRequest(request: number, value: unknown): Buffer {
  const packed = pack(value)
  const body = Buffer.allocUnsafe(4 + packed.length)
  body.writeUInt32LE(request, 0)
  packed.copy(body, 4)
  return body
}

export const encodeQuery = (request: number, query: Query): Buffer => withRequest(request, query)
/** Whatever the client sent: to be checked. */
export const decodeQuery = (body: Buffer): unknown => unpack(body, 4, body.length)

const resultHeaderBytes = 12

/** | u32 request | u64 what the store had applied | value |. What came later may be in the value, nothing that came before is missing. */
export function encodeResult(request: number, value: unknown, applied: number = 0): Buffer {
  const packed = pack(value)
  const body = Buffer.allocUnsafe(resultHeaderBytes + packed.length)
  body.writeUInt32LE(request, 0)
  writeUint64(body, applied, 4)
  packed.copy(body, resultHeaderBytes)
  return body
}

export const appliedOf = (body: Buffer): number => readUint64(body, 4)
export const decodeResult = (body: Buffer): unknown => unpack(body, resultHeaderBytes, body.length)
export const encodeFailed = (request: number, error: WireError): Buffer => withRequest(request, error)
export const decodeFailed = (body: Buffer): WireError => unpack(body, 4, body.length) as WireError

export function encodeRequest(request: number): Buffer {
  const body = Buffer.allocUnsafe(4)
  body.writeUInt32LE(request, 0)
  return body
}

export const eventsHeaderBytes = 16
export const eventsFlags = { last: 1 } as const

/** | u32 request | u32 flags | u64 position of the block's first event | then the block's entries. */
export function encodeEventsHeader(request: number, flags: number, firstPosition: number): Buffer {
  const b = Buffer.allocUnsafe(eventsHeaderBytes)
  b.writeUInt32LE(request, 0)
  b.writeUInt32LE(flags, 4)
  writeUint64(b, firstPosition, 8)
  return b
}

export const eventsFlagsOf = (b: Buffer): number => b.readUInt32LE(4)
export const eventsPositionOf = (b: Buffer): number => readUint64(b, 8)
