import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, it } from 'vitest'
import type { DatabaseStatus } from '../../src/supervisor/control-protocol.ts'

const root = join(import.meta.dirname, '..', '..')
const application = join(root, 'src', 'examples', 'bank', 'bank.ts')
const accounts = 5

interface Served {
  readonly url: string
  readonly supervisor: ChildProcess
  /** The exit code. */
  readonly ended: Promise<number | null>
  readonly directory: string
}

const running: Served[] = []

afterEach(async () => {
  for (const { supervisor, ended, directory } of running.splice(0)) {
    supervisor.kill('SIGTERM')
    await ended
    rmSync(directory, { recursive: true, force: true })
  }
})

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

async function start(env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'http-'))
  const binary = join(root, 'src', 'cli', 'commanderdb.mjs')
  const flags = ['--data-dir', join(directory, 'data'), '--app', application, '--http-port', String(await freePort())]
  const supervisor = spawn(process.execPath, [binary, 'start', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const ended = new Promise<number | null>((resolve) => supervisor.once('exit', resolve))
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: supervisor.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (line) => {
      const found = /^ready url=(\S+)/.exec(line)?.[1]
      if (found !== undefined) resolve(found)
    })
    void ended.then((code) => reject(new Error(`the database ended with code ${code} before it was ready`)))
  })
  const served = { url, supervisor, ended, directory }
  running.push(served)
  return served
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10))

/** As a client should: the same key until there is an answer. */
async function deposit(url: string, i: number): Promise<number> {
  const path = `${url}/v1/aggregates/account/${i % accounts}/commands/deposit`
  const headers = { 'content-type': 'application/json', 'idempotency-key': `deposit-${i}` }
  for (;;) {
    const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify({ amountCents: 1 }) }).catch(
      () => null,
    )
    if (response?.status === 200) return ((await response.json()) as { lsn: number }).lsn
    if (response !== null) expect([429, 503, 504]).toContain(response.status)
    await response?.text().catch(() => '')
    await pause()
  }
}

/** Follows all events as a browser does: after a lost connection it comes back with the last id that it saw. */
async function follow(url: string, ids: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const last: Record<string, string> = ids.length === 0 ? {} : { 'last-event-id': String(ids.at(-1)) }
      const response = await fetch(`${url}/v1/events`, { headers: { accept: 'text/event-stream', ...last }, signal })
      let text = ''
      for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
        text += chunk
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const id = /^id: (\d+)\ndata: /.exec(text.slice(0, end))?.[1]
          if (id !== undefined) ids.push(Number(id))
          text = text.slice(end + 2)
        }
      }
    } catch {
      await pause()
    }
  }
}

const pidOfGateway = async (url: string): Promise<number | null> => {
  const status = await fetch(`${url}/v1/status`)
    .then((response) => response.json() as Promise<{ processes: { name: string; pid: number; state: string }[] }>)
    .catch(() => null)
  return status?.processes.find(({ name, state }) => name === 'gateway' && state === 'ready')?.pid ?? null
}

it('takes every command once and streams every event once, however often the gateway is killed', async () => {
  const { url } = await start()
  const total = 400
  const ids: number[] = []
  const reading = new AbortController()
  const followed = follow(url, ids, reading.signal)

  let next = 0
  let acknowledged = 0
  let lastLsn = 0
  const workers = Array.from({ length: 8 }, async () => {
    while (next < total) {
      lastLsn = Math.max(lastLsn, await deposit(url, next++))
      acknowledged++
    }
  })
  const killed = new Set<number>()
  while (killed.size < 3) {
    const due = ((killed.size + 1) * total) / 5
    const pid = acknowledged >= due ? await pidOfGateway(url) : null
    if (pid !== null && !killed.has(pid)) {
      process.kill(pid, 'SIGKILL')
      killed.add(pid)
    }
    await pause()
  }
  await Promise.all(workers)

  for (let account = 0; account < accounts; account++) {
    const state = await fetch(`${url}/v1/aggregates/account/${account}?minLsn=${lastLsn}`)
    expect(await state.json()).toMatchObject({ revision: total / accounts, state: { balanceCents: total / accounts } })
  }
  while (ids.length < total) await pause()
  reading.abort()
  await followed
  expect(ids).toEqual(Array.from({ length: total }, (_, i) => i + 1))
})

it('ends streams, waits and idle connections when the database is stopped, and exits 0', async () => {
  const { url, supervisor, ended } = await start()
  await deposit(url, 0)
  const events = await fetch(`${url}/v1/events`, { headers: { accept: 'text/event-stream' } })
  const chunks = (events.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader()
  let read = ''
  // The event comes once the store has it.
  while (!read.includes('id: 1\n')) read += (await chunks.read()).value ?? ''
  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  const closed = new Promise((resolve) => idle.once('close', resolve))
  await new Promise((resolve) => idle.once('connect', resolve))
  supervisor.kill('SIGTERM')
  expect(await ended).toBe(0)
  while (!(await chunks.read()).done) {}
  await closed
})

it('exits 2 and names the port when it is taken', async () => {
  const { url } = await start()
  const { port } = new URL(url)
  const directory = mkdtempSync(join(tmpdir(), 'http-'))
  const binary = join(root, 'src', 'cli', 'commanderdb.mjs')
  const flags = ['--data-dir', join(directory, 'data'), '--app', application, '--http-port', port]
  const second = spawn(process.execPath, [binary, 'start', ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  second.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const code = await new Promise((resolve) => second.once('close', resolve))
  rmSync(directory, { recursive: true, force: true })
  expect({ code, said }).toEqual({ code: 2, said: expect.stringContaining(`127.0.0.1:${port} is in use`) })
})

it('says 429 and when to come back while too much is pending, and takes everything in the end, once', async () => {
  const { url } = await start({ COMMANDERDB_LIMITS_PENDING_COMMANDS: '20' })
  const { processes } = (await (await fetch(`${url}/v1/status`)).json()) as DatabaseStatus
  const application = processes.find(({ role }) => role === 'application')?.pid as number
  process.kill(application, 'SIGSTOP')
  const count = 200
  const headers = (i: number) => ({ 'content-type': 'application/json', 'idempotency-key': `deposit-${i}` })
  const path = (i: number): string => `${url}/v1/aggregates/account/${i % accounts}/commands/deposit`
  const body = JSON.stringify({ amountCents: 1 })
  const first = Array.from({ length: count }, (_, i) => fetch(path(i), { method: 'POST', headers: headers(i), body }))
  const refused = first.map(async (answer) => {
    const { status, headers: said } = await answer
    return { status, retryAfter: said.get('retry-after') }
  })
  const early = await Promise.all(refused.slice(count / 2))
  process.kill(application, 'SIGCONT')
  expect(early.filter(({ status }) => status === 429).length).toBeGreaterThan(0)
  for (const { status, retryAfter } of early) if (status === 429) expect(Number(retryAfter)).toBeGreaterThanOrEqual(1)
  await Promise.all(Array.from({ length: count }, (_, i) => deposit(url, i)))
  let sum = 0
  for (let i = 0; i < accounts; i++) {
    const answer = await fetch(`${url}/v1/aggregates/account/${i}`)
    sum += ((await answer.json()) as { state: { balanceCents: number } }).state.balanceCents
  }
  expect(sum).toBe(count)
})
