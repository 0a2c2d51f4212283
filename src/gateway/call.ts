import type { CommanderError } from '../kernel/errors.ts'
import { type Lsn, lsn } from '../kernel/identifiers.ts'

/** How a command came out, in bytes: whoever asked decodes them, or passes them on as they are. */
export interface CallOutcome {
  readonly commandLsn: Lsn
  readonly endLsn: Lsn
  /** Code of the action that says so; `command/received` while it is only that. */
  readonly code: number
  /** Index into `durabilities`; set when the answer is given. */
  durability: number
  readonly isDuplicate: boolean
  readonly firstPosition: number
  /** The entry; null for `command/received`. */
  readonly entry: Buffer | null
  readonly offset: number
}

/** Where answers go: one object a connection, so that a command costs no closure. */
export interface Replier {
  completed(request: number, outcome: CallOutcome): void
  failed(request: number, error: CommanderError): void
  /** False once nobody waits for this answer any more. Default: true. */
  isListening?(request: number): boolean
  /** The answers of this turn are complete. */
  flush(): void
  /**
   * It takes no more for now; `Gateway.owed` is to be told when it does, and when it is gone.
   * Default: it always takes.
   */
  readonly isFull?: boolean
}

/** One command on its way. */
export class Call {
  readonly replier: Replier
  readonly request: number
  /** As in `waitModes`. */
  readonly wait: number
  readonly writtenIsEnough: boolean
  sequence = 0
  /** The draft, until its entry has come back: it is sent again when the connection to the journal writer was lost. */
  source: Buffer | null
  offset: number
  length: number
  /** Version of the definition that the command was admitted under. */
  definitionVersion = 0
  commandLsn: Lsn = lsn(0)
  isDuplicate = false
  isRefused = false
  /** Key of the workflow whose end is waited for. */
  workflow = ''
  /** Another call that waits for the same command. */
  next: Call | null = null

  constructor(
    replier: Replier,
    request: number,
    wait: number,
    writtenIsEnough: boolean,
    source: Buffer,
    offset: number,
    length: number,
  ) {
    this.replier = replier
    this.request = request
    this.wait = wait
    this.writtenIsEnough = writtenIsEnough
    this.source = source
    this.offset = offset
    this.length = length
  }

  /** The draft anew, in a buffer of its own. */
  replaceSource(source: Buffer): void {
    this.source = source
    this.offset = 0
    this.length = source.readUInt32LE(0)
  }
}

/** It waits for what others do. */
export const callWithoutDraft = (replier: Replier, request: number, wait: number): Call =>
  new Call(replier, request, wait, false, Buffer.alloc(0), 0, 0)
