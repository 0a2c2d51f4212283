import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Payment {
  readonly path: string
  readonly key: string
  readonly status: number
}

/** A payment provider: a real HTTP server, which fails when told to, and takes each key once. */
export class PaymentProvider {
  /** Everything that it was asked, in order. */
  readonly asked: Payment[] = []
  /** Answers to be given before it works. */
  readonly failures: number[] = []
  /** Amounts that it holds, by payment. */
  readonly held = new Map<string, number>()
  readonly #byKey = new Map<string, string>()
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async listen(): Promise<PaymentProvider> {
    const server = createServer()
    const provider = new PaymentProvider(server)
    server.on('request', (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const key = String(request.headers['idempotency-key'])
        const { status, body } = provider.#answer(request.url ?? '', key, JSON.parse(Buffer.concat(chunks).toString()))
        provider.asked.push({ path: request.url ?? '', key, status })
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(path: string, key: string, { amountCents = 0 }: { amountCents?: number }): { status: number; body: object } {
    const failure = this.failures.shift()
    if (failure !== undefined) return { status: failure, body: {} }
    const refunded = /^\/payments\/(.+)\/refund$/.exec(path)?.[1]
    if (refunded !== undefined) {
      this.held.delete(refunded)
      return { status: 200, body: { paymentId: refunded } }
    }
    const paymentId = this.#byKey.get(key) ?? `payment-${this.#byKey.size + 1}`
    if (!this.#byKey.has(key)) this.held.set(paymentId, amountCents)
    this.#byKey.set(key, paymentId)
    return { status: 200, body: { paymentId } }
  }
}
