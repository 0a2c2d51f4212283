import type { QueueFields } from '../actions/queue-actions.ts'
import { type Durability, durabilities, replicatedWanted, waitModes } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import { httpLimits } from './http-limits.ts'
import type { HttpExchange, JsonSchema } from './http-route.ts'

/**
 * What `Prefer` (RFC 7240) asks for. What it does not know is passed over, as the RFC demands, but for a durability that there is
 * not: who asks for one must not be given less.
 */
export interface Preferences {
  /** Answer 202 as soon as the command is received. */
  readonly respondAsync: boolean
  /** Answer 202 if the command has not ended by then. */
  readonly waitMs: number | null
  readonly durability: Durability | null
  /** `durability=applied, replicated`: refused where it cannot be promised. */
  readonly isReplicated: boolean
  /** Of what was asked for, only what became of it. */
  readonly isMinimal: boolean
}

/** @throws CommanderError `invalid_input` */
export function preferencesOf(header: string | undefined): Preferences {
  let respondAsync = false
  let waitMs: number | null = null
  let durability: Preferences['durability'] = null
  let isMinimal = false
  let isReplicated = false
  for (const preference of (header ?? '').split(',')) {
    const [, name, quoted, plain] = /^\s*([\w-]+)\s*(?:=\s*(?:"([^"]*)"|([^;\s]*)))?\s*(?:;|$)/.exec(preference) ?? []
    const value = quoted ?? plain ?? ''
    switch (name?.toLowerCase()) {
      case 'respond-async':
        respondAsync = true
        break
      case 'wait':
        if (/^[0-9]{1,9}$/.test(value)) waitMs ??= Math.min(Number(value) * 1000, httpLimits.waitMsMax)
        break
      case 'return':
        isMinimal ||= value === 'minimal'
        break
      case 'durability':
        durability ??= durabilityOf(value)
        break
      case 'replicated':
        isReplicated = true
        break
      default:
    }
  }
  return { respondAsync, waitMs, durability, isReplicated: isReplicated || durability === 'replicated', isMinimal }
}

function durabilityOf(value: string): Durability {
  const known = durabilities.find((one) => one === value)
  if (known !== undefined) return known
  const found = JSON.stringify(value.slice(0, 64))
  throw new CommanderError(
    'invalid_input',
    `the header Prefer asks for the durability ${found}, but there are written, flushed, replicated and applied`,
  )
}

/** How the gateway is to answer a command that waits for this, if its request says nothing else. */
export function waitOf(usual: keyof typeof waitModes, { durability, isReplicated }: Preferences): number {
  const wait = usual === 'completed' && durability === 'applied' ? waitModes.applied : waitModes[usual]
  return isReplicated ? wait | replicatedWanted : wait
}

/** @throws CommanderError `invalid_input`: what is only received changes nothing that could be applied */
export function assertAsync({ durability }: Preferences): void {
  if (durability !== 'applied') return
  const message =
    'the header Prefer asks to be answered when the command is received (respond-async), and when it is applied: leave one out'
  throw new CommanderError('invalid_input', message)
}

/**
 * The key as its client means it: a string in quotes, as the draft standard of `Idempotency-Key` has it, or plain.
 *
 * @throws CommanderError `invalid_input`
 */
export function idempotencyKeyOf(header: string | undefined): string | null {
  if (header === undefined) return null
  const text = header.trim()
  const plain = /^"(.*)"$/.exec(text)?.[1]?.replace(/\\(["\\])/g, '$1') ?? text
  const key = utf8Of(plain)
  const bytes = Buffer.byteLength(key)
  if (bytes >= 1 && bytes <= limits.idempotencyKeyBytesMax) return key
  const message = `the header Idempotency-Key must have 1 to ${limits.idempotencyKeyBytesMax} bytes, not ${bytes}`
  throw new CommanderError('invalid_input', message)
}

/** Node reads headers as Latin-1; what is not ASCII was sent as UTF-8 or is refused. */
function utf8Of(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1')
  const text = bytes.toString('utf8')
  if (Buffer.from(text, 'utf8').equals(bytes)) return text
  throw new CommanderError('invalid_input', 'the header Idempotency-Key must be ASCII or UTF-8')
}

/**
 * The revision that the aggregate must be at: `"5"`, as the `ETag` of its state has it.
 *
 * @throws CommanderError `invalid_input`: a condition that is not understood must not be passed over
 */
export function expectedRevisionOf(header: string | undefined): number | null {
  if (header === undefined) return null
  const digits = /^\s*(?:"([0-9]{1,16})"|([0-9]{1,16}))\s*$/.exec(header)
  const revision = Number(digits?.[1] ?? digits?.[2])
  if (Number.isSafeInteger(revision)) return revision
  throw new CommanderError(
    'invalid_input',
    `the header If-Match must be one revision, such as "5", not ${header.slice(0, 64)}`,
  )
}

/** When a command may be started. */
export const queueingHeaders: Readonly<Record<'Command-Priority' | 'Command-Delay-Ms', JsonSchema>> = {
  'Command-Priority': {
    type: 'integer',
    minimum: 0,
    maximum: limits.priorityMax,
    description: 'Before those of a lower one that wait in the same partition of its queue; default 0',
  },
  'Command-Delay-Ms': {
    type: 'integer',
    minimum: 0,
    maximum: limits.delayMsMax,
    description: 'Not before so many milliseconds after it was received; default 0',
  },
}

/** @throws CommanderError `invalid_input` */
export function queueingOf(exchange: HttpExchange): Pick<QueueFields, 'priority' | 'delayMs'> {
  const priority = wholeOf(exchange, 'Command-Priority')
  const delayMs = wholeOf(exchange, 'Command-Delay-Ms')
  return { ...(priority === null ? {} : { priority }), ...(delayMs === null ? {} : { delayMs }) }
}

function wholeOf(exchange: HttpExchange, name: keyof typeof queueingHeaders): number | null {
  const header = exchange.header(name.toLowerCase())
  if (header === undefined) return null
  const { maximum = 0 } = queueingHeaders[name]
  const value = Number(header)
  if (/^\s*[0-9]+\s*$/.test(header) && value <= maximum) return value
  const found = JSON.stringify(header.slice(0, 64))
  throw new CommanderError(
    'invalid_input',
    `the header ${name} is ${found}, but must be a whole number from 0 to ${maximum}`,
  )
}

const traceparent = /^[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]{0,200})?$/

/** What goes with the command to `decide`: the trace that it belongs to. W3C Trace Context: a wrong one is passed over. */
export function metadataOf(exchange: HttpExchange): Readonly<Record<string, string>> | null {
  const header = exchange.header('traceparent')
  return header !== undefined && traceparent.test(header) ? { traceparent: header } : null
}
