import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { tracingRefusal } from '../torture/traced-writer.ts'

/** One system call: what went in, what came out, and between which other calls it was under way. */
export interface SystemCall {
  readonly name: string
  readonly arguments: string
  readonly result: number
  /** Places in the order of all beginnings and ends. */
  readonly begun: number
  readonly ended: number
}

const traced = 'openat,close,write,pwrite64,pwritev,ftruncate,fdatasync,fsync,rename,unlink,mkdir'

/** Runs a program under strace and reads back what it asked of the file system, in full. */
async function recordCalls(args: readonly string[], file: string): Promise<SystemCall[]> {
  const options = ['-f', '-xx', '-s', '2000000', '-e', `trace=${traced}`, '-e', 'signal=none', '-o', file]
  const env = { ...process.env, UV_USE_IO_URING: '0' }
  const child = spawn('strace', [...options, process.execPath, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  })
  const exitCode = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  if (exitCode !== 0) throw new Error(`the recorded program ended with ${exitCode}`)
  return parseCalls(readFileSync(file, 'latin1'))
}

const whole = /^(\d+) +(\w+)\((.*)\) += (-?\d+)/
const unfinished = /^(\d+) +(\w+)\((.*?),? ?<unfinished \.\.\.>$/
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)/

/** In the order in which they ended. A call that was interrupted by those of other threads has two lines. */
/** The same, or null and a word where nothing can be recorded. */
export async function recordedCalls(args: readonly string[], file: string): Promise<SystemCall[] | null> {
  const refusal = tracingRefusal()
  if (refusal === null) return recordCalls(args, file)
  process.stdout.write(`skipped: ${refusal}\n`)
  return null
}

export function parseCalls(text: string): SystemCall[] {
  const calls: SystemCall[] = []
  const open = new Map<string, { readonly begun: number; readonly arguments: string }>()
  for (const [ended, line] of text.split('\n').entries()) {
    const [, thread = '', name = '', args = '', result = ''] =
      whole.exec(line) ?? resumed.exec(line) ?? unfinished.exec(line) ?? []
    if (line.endsWith('<unfinished ...>')) {
      open.set(thread, { begun: ended, arguments: args })
      continue
    }
    if (name === '') continue
    const before = line.includes(' resumed>') ? open.get(thread) : undefined
    const begun = before?.begun ?? ended
    calls.push({ name, arguments: `${before?.arguments ?? ''}${args}`, result: Number(result), begun, ended })
  }
  return calls
}

/** The strings among the arguments of a call, one after another: paths, or what is written. */
export function stringsIn({ arguments: args }: SystemCall): Buffer[] {
  return [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) =>
    Buffer.from(hex.replaceAll('\\x', ''), 'hex'),
  )
}

/** The numbers behind the strings, the first argument not counted: for a write its size and place. */
export const lastNumberIn = ({ arguments: args }: SystemCall): number => Number(/(\d+)$/.exec(args)?.[1])
export const descriptorOf = ({ arguments: args }: SystemCall): number => Number.parseInt(args, 10)
