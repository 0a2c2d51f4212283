import type { Writable } from 'node:stream'

/** Where a verb reads and writes: the process's own streams, or a test's. */
export interface Terminal {
  readonly input: AsyncIterable<Uint8Array>
  /** Results. Resolves when more may be written. */
  out(text: string): Promise<void>
  /** Notices and errors, for people. */
  error(text: string): void
  /** Someone is watching what `error` writes. */
  readonly isInteractive: boolean
  /** Nobody reads the results any more: `commanderdb events | head`. */
  readonly isClosed: boolean
}

/** The streams of this process. */
export function processTerminal(): Terminal {
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

/** One line, whatever the text: an error takes exactly one. */
export const oneLine = (text: string): string => text.trim().replace(/\s*[\r\n]+\s*/g, ' ')
