import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { LoadResult } from './closed-loop.ts'
import type { LoadOrder, LoadReport } from './load-protocol.ts'

export interface LoadOptions {
  /** Absolute path of the client's program. */
  readonly program: string
  readonly order: LoadOrder
  readonly nodeOptions?: readonly string[]
  /** Called at the beginning and at the end of the measured time. */
  readonly onBegin?: (clientPid: number) => void
  readonly onEnd?: (clientPid: number) => void
}

export interface Load {
  readonly result: LoadResult
  readonly beganMicros: number
  readonly endedMicros: number
}

/** Runs a load client in a process of its own. */
export async function runLoad(options: LoadOptions): Promise<Load> {
  const { program, order, nodeOptions = [] } = options
  const client = fork(program, [JSON.stringify(order)], { execArgv: [...nodeOptions] })
  const exited = once(client, 'exit')
  try {
    const load = await Promise.race([watch(client, options), exited.then(() => failed(client))])
    if (client.connected) client.disconnect()
    await exited
    return load
  } finally {
    client.kill('SIGKILL')
  }
}

function watch(client: ChildProcess, { onBegin, onEnd }: LoadOptions): Promise<Load> {
  return new Promise((resolve) => {
    let beganMicros = 0
    client.on('message', (message) => {
      const report = message as LoadReport
      if (report.report === 'began') {
        beganMicros = report.monotonicMicros
        onBegin?.(client.pid as number)
        return
      }
      onEnd?.(client.pid as number)
      resolve({ result: report.result, beganMicros, endedMicros: report.monotonicMicros })
    })
  })
}

function failed(client: ChildProcess): never {
  throw new Error(`the load client ended with ${client.exitCode ?? client.signalCode} before it had a result`)
}
