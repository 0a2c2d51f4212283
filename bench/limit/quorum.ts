import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { measuredEnvironment } from '../compile-cache.ts'
import { Deframer, headerBytes, kinds, numberAt } from './frame.ts'

/**
 * What is left of a journal that several servers keep when everything is taken away that makes it one: they write what comes,
 * flush it, and say so, and a caller waits for enough of them.
 */
export class Quorum {
  readonly #directory: string
  readonly #ackQuorum: number
  readonly #children: ChildProcess[] = []
  readonly #sockets: Socket[] = []
  readonly #flushed: number[] = []
  #number = 0
  #waiting: (() => void) | null = null

  private constructor(directory: string, ackQuorum: number) {
    this.#directory = directory
    this.#ackQuorum = ackQuorum
  }

  /** In a directory that is not there yet. */
  static async start(directory: string, servers: number, ackQuorum: number): Promise<Quorum> {
    mkdirSync(directory)
    const quorum = new Quorum(directory, ackQuorum)
    try {
      for (let n = 0; n < servers; n++) await quorum.#startServer(n)
      return quorum
    } catch (error) {
      await quorum.stop()
      throw error
    }
  }

  /** One at a time. */
  append(payload: Buffer): Promise<void> {
    const frame = Buffer.allocUnsafe(headerBytes + payload.length)
    frame.writeUInt32LE(frame.length, 0)
    frame.writeUInt32LE(kinds.received, 4)
    frame.writeDoubleLE(++this.#number, 8)
    payload.copy(frame, headerBytes)
    return new Promise((resolve) => {
      this.#waiting = resolve
      for (const socket of this.#sockets) socket.write(frame)
    })
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    const exits = running.map((child) => once(child, 'exit'))
    for (const child of running) child.kill('SIGKILL')
    await Promise.all(exits)
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #startServer(n: number): Promise<void> {
    const name = `server-${n}`
    const program = join(import.meta.dirname, 'quorum-server.ts')
    const child = fork(program, [this.#directory, name], { env: measuredEnvironment() })
    this.#children.push(child)
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (message !== 'ready') throw new Error(`the limit's ${name} ended with ${message} before it was ready`)
    const socket = connect(join(this.#directory, `${name}.sock`))
    await once(socket, 'connect')
    const deframer = new Deframer((buffer, at) => this.#acknowledged(n, numberAt(buffer, at)))
    socket.on('data', (chunk) => deframer.push(chunk as Buffer))
    this.#sockets.push(socket)
    this.#flushed.push(0)
  }

  #acknowledged(server: number, upTo: number): void {
    this.#flushed[server] = upTo
    if (this.#flushed.filter((flushed) => flushed >= this.#number).length < this.#ackQuorum) return
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.()
  }
}
