import { HttpNodes } from '../../../src/client/http-nodes.ts'
import type { HttpAnswer, HttpRequest, HttpRequester } from '../../../src/client/http-requester.ts'
import { type Environment, silentLog } from '../../../src/kernel/environment.ts'

export interface Response {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

type Script = (request: HttpRequest, attempt: number) => Response | Error | Promise<Response>

/** Time passes only when someone waits for it: then at once. */
export function virtualEnvironment(): Environment & { readonly sleptMs: number[] } {
  let nowMs = 0
  const sleptMs: number[] = []
  return {
    sleptMs,
    log: silentLog,
    clock: { wallMs: () => nowMs, monotonicMs: () => nowMs },
    random: { uint32: () => 2 ** 31, uuid: () => 'made-by-the-client' },
    scheduler: {
      soon: (run) => setImmediate(run),
      after(delayMs, run) {
        // A deadline is not waited for.
        if (delayMs >= deadlineMs) return { cancel() {} }
        sleptMs.push(delayMs)
        nowMs += delayMs
        setImmediate(run)
        return { cancel() {} }
      },
    },
  }
}

const deadlineMs = 20_000

/** A server that answers as it is told, and keeps what it was asked. */
export function scripted(script: Script): { readonly nodes: HttpNodes; readonly requests: HttpRequest[] } {
  const requests: HttpRequest[] = []
  const requester: HttpRequester = async (request) => {
    requests.push(request)
    const response = await script(request, requests.length)
    if (response instanceof Error) throw response
    return answerOf(response)
  }
  return { nodes: new HttpNodes(['http://a'], () => requester), requests }
}

function answerOf({ status, body, headers = {} }: Response): HttpAnswer {
  const isText = typeof body === 'string'
  const type = isText ? 'text/html' : status >= 400 ? 'application/problem+json' : 'application/json'
  const all: Record<string, string> = { 'content-type': type, ...headers }
  const text = isText ? body : (JSON.stringify(body) ?? '')
  return {
    status,
    header: (name) => all[name] ?? null,
    text: async () => text,
    async *chunks() {
      yield Buffer.from(text)
    },
  }
}
