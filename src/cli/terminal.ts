import type { Writable } from 'node:stream'
import { failureText, warningText } from './failure-text.ts'

/** Where a verb reads and writes: the process's own streams, or a test's. */
export interface Terminal {
  readonly input: AsyncIterable<Uint8Array>
  /** Results. Resolves when more may be written. */
  out(text: string): Promise<void>
  /** What a person who watches may like to see; see `isInteractive`. */
  error(text: string): void
  /** Why a verb failed: one line, with `--json` an object. */
  fail(error: unknown): void
  /** What somebody should know though nothing has failed: one line, with `--json` an object. */
  warn(message: string): void
  /** Someone is watching what `error` writes. */
  readonly isInteractive: boolean
  /** Nobody reads the results any more: `commanderdb events | head`. */
  readonly isClosed: boolean
}

/** The streams of this process. */
export function processTerminal({ isJson }: { readonly isJson: boolean }): Terminal {
  const { stdout, stderr } = process
  let isClosed = false
  stdout.on('error', () => {
    isClosed = true
  })
  stderr.on('error', () => {})
  return {
    get input() {
      return process.stdin
    },
    out: (text) => (isClosed ? Promise.resolve() : written(stdout, text)),
    error: (text) => void stderr.write(text),
    fail: (error) => void stderr.write(failureText(error, isJson)),
    warn: (message) => void stderr.write(warningText(message, isJson)),
    isInteractive: stderr.isTTY === true,
    get isClosed() {
      return isClosed
    },
  }
}

function written(stream: Writable, text: string): Promise<void> {
  if (stream.write(text)) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('error', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('error', done).on('close', done)
  })
}
