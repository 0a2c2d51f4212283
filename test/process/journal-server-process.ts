import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Listener } from '../../src/ipc/channel.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import type { TlsIdentity } from '../../src/ipc/tls-transport-adapter.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'

const program = join(import.meta.dirname, '..', '..', 'processes', 'journal-server.ts')

export interface ServerProcessOptions {
  /** Holds the data, and the socket that the process reports to. */
  readonly directory: string
  readonly serverId: string
  readonly listen: string
  readonly metadata: string
  /** Paths. */
  readonly tls?: TlsIdentity
  /** What it is started with, before the program: see `NetworkNamespaces`. */
  readonly within?: readonly string[]
}

let started = 0

/** A journal server in a process of its own, with this process in its supervisor's place. */
export class ServerProcess {
  readonly child: ChildProcess
  /** What it has logged so far. */
  output = ''
  readonly #supervisor: Listener
  readonly #exited: Promise<number | string>

  private constructor(child: ChildProcess, supervisor: Listener) {
    this.child = child
    this.#supervisor = supervisor
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    this.#exited = new Promise((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'for no reason')),
    )
  }

  /** Resolves when it is ready, or has ended. */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const { directory, serverId, listen, metadata, tls, within = [] } = options
    const [first = '', ...args] = [...within, process.execPath, program]
    const controlAddress = join(directory, 'run', `control-${++started}.sock`)
    let ready: () => void = () => undefined
    const isReady = new Promise<void>((resolve) => {
      ready = resolve
    })
    const supervisor = await createNodeIpcTransport(createSystemEnvironment()).listen(controlAddress, (channel) => ({
      frame: (_kind, body) => {
        if (body.includes('"ready"')) ready()
        channel.release(body.length)
      },
      closed: () => undefined,
    }))
    const child = spawn(first, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const config = { dataDir: directory, serverId, listen, metadata, ...(tls === undefined ? {} : { tls }) }
    const name = `journal-server-${serverId}`
    child.stdin?.write(
      `${JSON.stringify({ name, role: 'journal-server', controlAddress, logLevel: 'info', config })}\n`,
    )
    const server = new ServerProcess(child, supervisor)
    await Promise.race([isReady, server.#exited])
    return server
  }

  /** Exit code or signal. */
  async ended(): Promise<number | string> {
    const how = await this.#exited
    await this.#supervisor.close()
    return how
  }

  kill(): Promise<number | string> {
    this.child.kill('SIGKILL')
    return this.ended()
  }

  stop(): Promise<number | string> {
    this.child.kill('SIGTERM')
    return this.ended()
  }
}
