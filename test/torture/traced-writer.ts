import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

/** What the writer of the journal asks the system for, by name. */
export type JournalCall = 'fdatasync' | 'fsync' | 'pwritev' | 'pwrite64'

export interface Injection {
  readonly call: JournalCall
  readonly error: 'EIO' | 'ENOSPC'
  /** The so-many-th call of each thread. */
  readonly when: number
}

const calls: readonly JournalCall[] = ['fdatasync', 'fsync', 'pwritev', 'pwrite64']
const detachMs = 2000
const segmentPath = /\/\d{10}-\d{16}\.segment>/

/** Why system calls cannot be made to fail here, or null. */
export function tracingRefusal(): string | null {
  try {
    execFileSync('strace', ['-qq', '-e', 'trace=none', process.execPath, '-e', ''], {
      stdio: 'ignore',
      timeout: 60_000,
    })
    return null
  } catch (error) {
    return `strace is missing or may not trace: ${(error as Error).message.split('\n')[0]}`
  }
}

/** A process under strace, one kind of whose system calls fails once on each thread; all of its file calls are recorded. */
export class TracedWriter {
  readonly #strace: ChildProcess
  readonly #file: string

  private constructor(strace: ChildProcess, file: string) {
    this.#strace = strace
    this.#file = file
  }

  /** Resolves when the process is traced. `file` takes the record. */
  static async attach(pid: number, file: string, { call, error, when }: Injection): Promise<TracedWriter> {
    const inject = `inject=${call}:error=${error}:when=${when}`
    const args = ['-f', '-y', '-p', String(pid), '-e', `trace=${calls.join()}`, '-e', inject, '-o', file]
    const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    await new Promise<void>((resolve, reject) => {
      let said = ''
      strace.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes('attached')) resolve()
      })
      strace.once('error', reject)
      strace.once('exit', () => reject(new Error(`strace ended: ${said}`)))
    })
    return new TracedWriter(strace, file)
  }

  /** The lines so far. */
  get record(): readonly string[] {
    return existsSync(this.#file) ? readFileSync(this.#file, 'utf8').split('\n') : []
  }

  /** strace may wait for ever for a thread of a process that has ended; who is traced lives on without it in any case. */
  async detach(): Promise<void> {
    const { exitCode, signalCode } = this.#strace
    if (exitCode !== null || signalCode !== null) return
    const ended = new Promise((resolve) => this.#strace.once('exit', resolve))
    this.#strace.kill('SIGTERM')
    const late = setTimeout(() => this.#strace.kill('SIGKILL'), detachMs)
    await ended
    clearTimeout(late)
  }
}

export interface InjectedFailure {
  /** It was a call on a segment in use, so that the journal must be closed; otherwise on one that is being made. */
  readonly isOfSegment: boolean
  /**
   * Calls of its kind on segments that began after it: none, for a flush that failed is never tried again, nor a write.
   * Of the other kind some may begin before the process hears of it, since flushes run on threads of their own.
   */
  readonly later: readonly string[]
}

const flushCall = /^\d+ +f(data)?sync\(/

/** The first failure that was injected, null when none was yet. A call that was interrupted by others' has two lines. */
export function injectedFailureIn(record: readonly string[]): InjectedFailure | null {
  const at = record.findIndex((line) => line.includes('(INJECTED)'))
  if (at < 0) return null
  const line = record[at] as string
  const isFlush = flushCall.test(line) || /<\.\.\. f(data)?sync resumed>/.test(line)
  const thread = line.split(' ')[0] as string
  const begun = line.includes('resumed>')
    ? record.slice(0, at).findLast((other) => other.startsWith(`${thread} `) && other.includes('<unfinished'))
    : line
  const isOfSegment = segmentPath.test(begun ?? '')
  const later = record.slice(at + 1).filter((other) => {
    return segmentPath.test(other) && !other.includes('resumed>') && flushCall.test(other) === isFlush
  })
  return { isOfSegment, later: isOfSegment ? later : [] }
}
