import http from 'node:http'
import https from 'node:https'
import { messageOf } from '../kernel/errors.ts'
import { limits } from '../kernel/limits.ts'
import {
  type EtcdGateway,
  type GatewayAnswer,
  type GatewayBody,
  GatewayFailure,
  type GatewayStream,
  type StreamHandlers,
} from './etcd-gateway.ts'

/** PEM. With `cert` and `key` the members can tell who asks. */
export interface EtcdTls {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
}

/** A member without a leader answers at once instead of waiting for one, and ends its watches. */
const needsLeader = { 'Grpc-Metadata-hasleader': 'true' }

/** The gateway over HTTP/1.1, by connections that stay open. */
export class HttpEtcdGateway implements EtcdGateway {
  readonly members: readonly string[]
  readonly #agent: http.Agent
  readonly #open: typeof http.request

  /** @param tls - null: in plain text */
  constructor(members: readonly string[], tls: EtcdTls | null) {
    this.members = members
    this.#agent = tls === null ? new http.Agent({ keepAlive: true }) : new https.Agent({ keepAlive: true, ...tls })
    this.#open = tls === null ? http.request : https.request
  }

  post(member: number, path: string, body: object, timeoutMs: number): Promise<GatewayAnswer> {
    return new Promise((resolve, reject) => {
      const { request, isSent } = this.#send(member, path, body)
      const timer = setTimeout(() => request.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
      const fail = (error: unknown): void => {
        clearTimeout(timer)
        reject(new GatewayFailure(messageOf(error), isSent(), error))
      }
      request.once('error', fail)
      request.once('response', (response) => {
        textOf(response).then((text) => {
          clearTimeout(timer)
          resolve({ status: response.statusCode ?? 0, body: parse(text) })
        }, fail)
      })
    })
  }

  stream(member: number, path: string, body: object, handlers: StreamHandlers): GatewayStream {
    const { request } = this.#send(member, path, body)
    let isOver = false
    const end = (error: Error | null): void => {
      if (isOver) return
      isOver = true
      request.destroy()
      handlers.ended(error)
    }
    request.once('error', end)
    request.once('response', (response) => {
      let rest = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) if (!isOver && line !== '') handlers.line(parse(line))
        if (rest.length > limits.metadataAnswerBytesMax) end(new Error('a line of the answer is too long'))
      })
      response.once('error', end)
      response.once('close', () => end(null))
    })
    return {
      close: () => {
        isOver = true
        request.destroy()
      },
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(member: number, path: string, body: object): { request: http.ClientRequest; isSent: () => boolean } {
    const { hostname, port } = new URL(`http://${this.members[member]}`)
    const text = Buffer.from(JSON.stringify(body))
    const headers = { 'content-type': 'application/json', 'content-length': text.length, ...needsLeader }
    const host = hostname.replace(/^\[|\]$/g, '')
    const request = this.#open({ agent: this.#agent, host, port: port || 2379, method: 'POST', path, headers })
    let isSent = false
    const connected = (): void => {
      isSent = true
    }
    request.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', connected)
      else connected()
    })
    request.end(text)
    return { request, isSent: () => isSent }
  }
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > limits.metadataAnswerBytesMax)
      throw new Error(`the answer has over ${limits.metadataAnswerBytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** What is no JSON, such as the page of a proxy, comes as a message. */
function parse(text: string): GatewayBody {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as GatewayBody
  } catch {
    // below
  }
  return { message: `an answer that is no JSON: ${text.slice(0, 200).trim()}` }
}
