import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the front does with a request: passes it on; drops it; passes it on and drops the answer; keeps it until it is let go. */
export type FrontManner = 'pass' | 'lose-request' | 'lose-answer' | 'hold'

interface Held {
  readonly path: string
  readonly letGo: () => void
}

/** Stands between a client and a member of etcd, and loses or delays what a test wants. */
export class EtcdFront {
  /** By path; default: pass. */
  readonly manners = new Map<string, FrontManner>()
  readonly held: Held[] = []
  /** Of requests that came, in order. */
  readonly paths: string[] = []
  /** Of requests that were passed on and answered, whether or not the answer got back. */
  readonly answered: string[] = []
  readonly #server: http.Server
  readonly #member: string
  #wake: () => void = () => {}

  static async start(member: string): Promise<EtcdFront> {
    const front = new EtcdFront(member)
    await once(front.#server.listen(0, '127.0.0.1'), 'listening')
    return front
  }

  private constructor(member: string) {
    this.#member = member
    this.#server = http.createServer((request, response) => void this.#serve(request, response))
  }

  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  letGo(): void {
    for (const { letGo } of this.held.splice(0)) letGo()
  }

  async stop(): Promise<void> {
    this.letGo()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = request.url ?? ''
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const manner = this.manners.get(path) ?? 'pass'
    const held = manner === 'hold' ? new Promise<void>((letGo) => this.held.push({ path, letGo })) : undefined
    this.paths.push(path)
    this.#wake()
    await held
    if (manner === 'lose-request') response.destroy()
    else this.#forward(request, Buffer.concat(chunks), response, manner === 'lose-answer')
  }

  #forward(request: http.IncomingMessage, body: Buffer, response: http.ServerResponse, losesAnswer: boolean): void {
    const [host, port] = this.#member.split(':')
    const { method, url, headers } = request
    const onward = http.request({ host, port, method, path: url, headers }, (answer) => {
      this.answered.push(url ?? '')
      this.#wake()
      if (losesAnswer) answer.resume().once('end', () => response.destroy())
      else answer.pipe(response.writeHead(answer.statusCode ?? 500, answer.headers))
      answer.once('error', () => response.destroy())
    })
    onward.once('error', () => response.destroy())
    response.once('close', () => onward.destroy())
    onward.end(body)
  }
}
