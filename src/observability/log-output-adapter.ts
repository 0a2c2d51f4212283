import type { Writable } from 'node:stream'

/** A line sink that never blocks and never grows without bound (G10). */
export interface LogOutput {
  /** Takes whole lines, each with its line feed. */
  write(lines: string | Uint8Array): void
  /** Resolves once everything is handed to the operating system, at the latest after `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>
}

/**
 * Writes to a stream (usually standard output) and drops lines while more than `maxBytes` wait: whoever started the
 * database may stop reading its output, and that must neither stop the supervisor nor fill its memory.
 */
export function createLogOutput(stream: Writable, maxBytes: number = 4 << 20): LogOutput {
  let dropped = 0
  let broken = false
  // A closed pipe (EPIPE) ends the log, not the database.
  stream.on('error', () => {
    broken = true
  })
  const full = (): boolean => broken || stream.destroyed || stream.writableLength > maxBytes
  return {
    write(lines) {
      if (full()) {
        dropped++
        return
      }
      if (dropped > 0) {
        stream.write(
          `${JSON.stringify({ level: 'warn', process: 'supervisor', dropped, msg: 'log lines were dropped' })}\n`,
        )
        dropped = 0
      }
      stream.write(lines)
    },
    flush(timeoutMs) {
      if (broken || stream.destroyed || stream.writableLength === 0) return Promise.resolve()
      return new Promise((resolve) => {
        setTimeout(resolve, timeoutMs).unref()
        stream.write('', () => resolve())
      })
    },
  }
}
