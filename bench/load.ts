import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { LoadResult } from './closed-loop.ts'
import { measuredEnvironment } from './compile-cache.ts'
import type { LoadOrder, LoadReport } from './load-protocol.ts'
import { type CpuUse, cpuSecondsOf, cpuUseBetween, readBusySeconds, readCpuUse } from './process-usage.ts'

export interface ProcessName {
  readonly name: string
  readonly pid: number
}

export interface LoadOptions {
  /** Absolute path of the client's program. */
  readonly program: string
  readonly order: LoadOrder
  /** Those whose processor time is counted besides the client's. */
  readonly processes: readonly ProcessName[]
  /** Of the client. */
  readonly nodeOptions?: readonly string[]
}

export interface Load {
  readonly result: LoadResult
  readonly beganMicros: number
  readonly endedMicros: number
  /** Processor time in the measured time, by process, `client` last. */
  readonly cpu: ReadonlyMap<string, CpuUse>
  readonly cpuMicrosPerCommand: number
  /** How many processors worked on something else meanwhile. */
  readonly othersCpus: number
}

/** Runs a load client in a process of its own. */
export async function runLoad(options: LoadOptions): Promise<Load> {
  const { program, order, nodeOptions = [] } = options
  const client = fork(program, [JSON.stringify(order)], {
    execArgv: [...nodeOptions],
    env: measuredEnvironment(),
  })
  const exited = once(client, 'exit')
  try {
    const load = await Promise.race([watch(client, options.processes), exited.then(() => failed(client))])
    // It ends by itself then, and writes its profile if it makes one.
    if (client.connected) client.disconnect()
    await exited
    return load
  } finally {
    client.kill('SIGKILL')
  }
}

interface Reading {
  readonly cpu: ReadonlyMap<string, CpuUse>
  readonly busySeconds: number
}

function watch(client: ChildProcess, processes: readonly ProcessName[]): Promise<Load> {
  const all = [...processes, { name: 'client', pid: client.pid as number }]
  const read = (): Reading => ({
    cpu: new Map(all.map(({ name, pid }) => [name, readCpuUse(pid)])),
    busySeconds: readBusySeconds(),
  })
  return new Promise((resolve, reject) => {
    let beganMicros = 0
    let before: Reading | null = null
    client.on('message', (message) => {
      try {
        const report = message as LoadReport
        if (report.report === 'began') {
          beganMicros = report.monotonicMicros
          before = read()
        } else if (before !== null) {
          const { result, monotonicMicros } = report
          resolve({ result, beganMicros, endedMicros: monotonicMicros, ...differenceOf(before, read(), result) })
        }
      } catch (error) {
        reject(error)
      }
    })
  })
}

function differenceOf(
  before: Reading,
  after: Reading,
  { commands, seconds }: LoadResult,
): Pick<Load, 'cpu' | 'cpuMicrosPerCommand' | 'othersCpus'> {
  const cpu = new Map([...after.cpu].map(([name, use]) => [name, cpuUseBetween(before.cpu.get(name) ?? use, use)]))
  const ours = [...cpu.values()].reduce((sum, use) => sum + cpuSecondsOf(use), 0)
  const others = after.busySeconds - before.busySeconds - ours
  return { cpu, cpuMicrosPerCommand: (ours * 1e6) / commands, othersCpus: Math.max(0, others / seconds) }
}

function failed(client: ChildProcess): never {
  throw new Error(`the load client ended with ${client.exitCode ?? client.signalCode} before it had a result`)
}
