import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { Transform } from 'node:stream'
import { fileURLToPath } from 'node:url'

export const bucket = 'archive'
/** Those that the server knows. */
export const credentials = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' }

const program = fileURLToPath(new URL('../fixtures/s3-server.ts', import.meta.url))

/** The server makes its tokens for the next page with DES. */
const legacyCipher = ['--openssl-legacy-provider']

/**
 * How the service in front of the server behaves. `sound`: as AWS does, with conditions. `ignores`: conditions are as if
 * they were not there. `unsupported`: it answers them with 501. The others lie or refuse.
 */
export type Manner =
  | 'sound'
  | 'ignores'
  | 'unsupported'
  | 'refuses'
  | 'elsewhere'
  | 'fails'
  | 'keeps-nothing'
  | 'keeps-the-old'
  | 'breaks-off'
  | 'alters'
  | 'no-s3'

/** A real server in a process of its own, and a service in front of it whose manner a test chooses. */
export class S3World {
  manner: Manner = 'sound'
  /** What `alters` gives back with another byte in the middle. */
  altered: RegExp = /./
  /** Names in one page of a list. */
  pageNames = 1000
  /** Of requests that put something, with their conditions. */
  readonly puts: { readonly url: string; readonly condition: string | undefined }[] = []
  readonly #directory: string
  readonly #child: ChildProcess
  readonly #front: http.Server
  readonly #port: number
  /** One put at a time: the server behind knows no conditions, so they are looked at here. */
  #turn: Promise<void> = Promise.resolve()

  static async start(): Promise<S3World> {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-s3-'))
    const child = spawn(process.execPath, [...legacyCipher, program, directory, bucket], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const world = new S3World(directory, child, Number(String(line)))
    await once(world.#front.listen(0, '127.0.0.1'), 'listening')
    return world
  }

  private constructor(directory: string, child: ChildProcess, port: number) {
    this.#directory = directory
    this.#child = child
    this.#port = port
    this.#front = http.createServer((request, response) => this.#serve(request, response))
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#front.address() as AddressInfo).port}`
  }

  /** Where the server keeps everything. */
  get directory(): string {
    return this.#directory
  }

  /** Nobody listens there any more. */
  async stopFront(): Promise<void> {
    this.#front.closeAllConnections()
    if (this.#front.listening) await new Promise((resolve) => this.#front.close(resolve))
  }

  async stop(): Promise<void> {
    await this.stopFront()
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
    fs.rmSync(this.#directory, { recursive: true, force: true })
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method, url = '' } = request
    const condition = request.headers['if-none-match']
    const isPut = method === 'PUT'
    if (isPut) this.puts.push({ url, condition })
    if (this.manner === 'refuses') return answer(request, response, 403, 'AccessDenied')
    if (this.manner === 'elsewhere')
      return answer(request, response, 301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-central-1' })
    if (this.manner === 'fails') return answer(request, response, 503, 'SlowDown')
    if (this.manner === 'no-s3') return answer(request, response, 200, null)
    if (this.manner === 'keeps-nothing' && isPut) return answer(request, response, 200, null)
    if (this.manner === 'unsupported' && isPut && condition !== undefined)
      return answer(request, response, 501, 'NotImplemented')
    if (!isPut || this.manner === 'ignores' || condition === undefined) return void this.#forward(request, response)
    this.#turn = this.#turn.then(() => this.#putIfAbsent(request, response))
  }

  async #putIfAbsent(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (!this.#isThere(request.url ?? '')) return this.#forward(request, response)
    if (this.manner === 'keeps-the-old') return answer(request, response, 200, null)
    answer(request, response, 412, 'PreconditionFailed')
  }

  /** As the server lays it out on disk. */
  #isThere(url: string): boolean {
    const key = decodeURIComponent(new URL(url, 'http://host').pathname)
    return fs.existsSync(path.join(this.#directory, `${key}._S3rver_object`))
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { method, url, headers } = request
    const { expect: _, ...passed } = headers
    const path = url?.includes('list-type') ? `${url}&max-keys=${this.pageNames}` : url
    return new Promise((resolve) => {
      response.on('close', resolve)
      const onward = http.request(
        { host: '127.0.0.1', port: this.#port, method, path, headers: passed },
        (answered) => {
          response.writeHead(answered.statusCode ?? 500, answered.headers)
          if (this.manner === 'breaks-off' && method === 'GET' && !url?.includes('list-type')) {
            answered.once('data', (chunk: Buffer) =>
              response.write(chunk.subarray(0, chunk.length >> 1), () => response.destroy()),
            )
          } else if (this.manner === 'alters' && method === 'GET' && this.altered.test(url ?? '')) {
            answered.pipe(otherByte(Number(answered.headers['content-length']) >> 1)).pipe(response)
          } else answered.pipe(response)
        },
      )
      onward.on('error', () => response.destroy())
      request.pipe(onward)
    })
  }
}

function otherByte(at: number): Transform {
  let passed = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (at >= passed && at < passed + chunk.length) chunk[at - passed] = (chunk[at - passed] ?? 0) ^ 1
      passed += chunk.length
      done(null, chunk)
    },
  })
}

function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  status: number,
  code: string | null,
  headers: http.OutgoingHttpHeaders = {},
): void {
  request.resume()
  response.writeHead(status, { 'content-type': code === null ? 'text/html' : 'application/xml', ...headers })
  const text = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`
  response.end(request.method === 'HEAD' ? undefined : code === null ? '<html><body>welcome</body></html>' : text)
}
