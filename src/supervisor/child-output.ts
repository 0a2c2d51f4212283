import type { Log } from '../kernel/environment.ts'
import { type ErrorCode, errorCodes, type WireError } from '../kernel/errors.ts'
import type { LogOutput } from '../observability/log-output-adapter.ts'
import { LineSplitter } from './line-splitter.ts'

/**
 * Where the lines of one life of a child go: JSON log lines pass through as they are, anything else (a console.log of
 * user code, a stack trace of V8) is wrapped into one. Remembers the last words, which say why it ended.
 */
export class ChildOutput {
  readonly stdout: LineSplitter
  readonly stderr: LineSplitter
  readonly #output: LogOutput
  readonly #log: Log
  #fatal: WireError | undefined
  #lastErrorLine: string | undefined

  constructor(output: LogOutput, log: Log) {
    this.#output = output
    this.#log = log
    this.stdout = new LineSplitter((line) => this.#take(line, 'stdout'))
    this.stderr = new LineSplitter((line) => this.#take(line, 'stderr'))
  }

  /** Its fatal log line; without one, the telling line of its standard error: V8 and the loader write there. */
  get lastWords(): WireError | undefined {
    if (this.#fatal !== undefined || this.#lastErrorLine === undefined) return this.#fatal
    return { code: 'process_failed', message: this.#lastErrorLine, retryable: false }
  }

  #take(line: string, stream: 'stdout' | 'stderr'): void {
    const parsed = line.startsWith('{"level":') ? parse(line) : undefined
    if (parsed !== undefined) {
      if (parsed['level'] === 'fatal') this.#fatal = wireErrorOf(parsed)
      this.#output.write(`${line}\n`)
      return
    }
    if (stream === 'stderr' && errorLinePattern.test(line)) this.#lastErrorLine = line
    if (stream === 'stderr') this.#log.warn({ stream }, line)
    else this.#log.info({ stream }, line)
  }
}

/** `TypeError: …`, `FATAL ERROR: …`, `setpriv: …`; not stack lines or warnings. */
const errorLinePattern = /^(\w*Error( \[\w+\])?|FATAL ERROR|setpriv|taskset|node): /

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}

function wireErrorOf(line: Record<string, unknown>): WireError {
  const error = line['error']
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code)
  return {
    code: known ? (code as ErrorCode) : 'internal',
    message: String(line['msg'] ?? 'no message'),
    retryable: false,
  }
}
