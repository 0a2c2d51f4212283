/**
 * Frames per second and megabytes per second, one way over a Unix socket between two processes, beside a bare socket
 * that carries the same bytes in writes of 64 KiB; and the time of one round trip.
 *
 * Measured: framing, gathering, credit, node-ipc's dispatch, both processes' event loops.
 * Not measured: encoding and decoding of what is in the frames, more than one peer, slow receivers.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel } from '../src/ipc/channel.ts'
import { createNodeIpcTransport } from '../src/ipc/node-ipc-transport-adapter.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'

const frame = 1
const ping = 2
const pong = 3
const done = 4
const counted = 5
const batchFrames = 256
const cases = [
  { bodyBytes: 64, frames: 4_000_000 },
  { bodyBytes: 1024, frames: 1_000_000 },
  { bodyBytes: 65_536, frames: 40_000 },
]

const [mode, directory] = process.argv.slice(2)
if (mode === 'receive' && directory !== undefined) await receive(directory)
else await measure()

/** The other process: counts frames, and the bytes of the bare socket, until the first one leaves. */
async function receive(at: string): Promise<void> {
  const transport = createNodeIpcTransport(createSystemEnvironment())
  let frames = 0
  await transport.listen(join(at, 'frames'), (channel) => ({
    frame(kind, body) {
      channel.release(body.length)
      if (kind === frame) frames++
      else if (kind === ping) channel.send(pong, body)
      else if (kind === done) {
        const count = Buffer.alloc(4)
        count.writeUInt32LE(frames)
        channel.send(counted, count)
        frames = 0
      }
    },
    closed: () => process.exit(),
  }))
  createServer((socket) => {
    let bytes = 0
    socket.on('data', (chunk) => {
      bytes += chunk.length
    })
    socket.on('end', () => socket.end(String(bytes)))
    socket.resume()
  }).listen(join(at, 'bare'))
  createServer((socket) => socket.pipe(socket)).listen(join(at, 'echo'), () => process.stdout.write('listening\n'))
}

async function measure(): Promise<void> {
  const at = mkdtempSync(join(tmpdir(), 'ipc-bench-'))
  const child = spawn(process.execPath, [import.meta.filename, 'receive', at], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(child.stdout, 'data')
    await measureWith(at)
    await once(child, 'exit')
  } finally {
    child.kill()
    rmSync(at, { recursive: true })
  }
}

async function measureWith(at: string): Promise<void> {
  const transport = createNodeIpcTransport(createSystemEnvironment())
  let answer: (body: Buffer) => void = () => {}
  let writable: () => void = () => {}
  const channel = await new Promise<Channel>((resolve) => {
    transport.connect(join(at, 'frames'), (opened) => ({
      opened: () => resolve(opened),
      frame(_kind, body) {
        opened.release(body.length)
        answer(body)
      },
      writable: () => writable(),
      closed: (error) => error && console.error(error),
    }))
  })
  const answered = (): Promise<Buffer> =>
    new Promise((resolve) => {
      answer = resolve
    })
  const wait = (): Promise<void> =>
    new Promise((resolve) => {
      writable = resolve
    })

  console.log('body bytes     frames/s      MB/s   bare MB/s')
  for (const { bodyBytes, frames } of cases) {
    const body = Buffer.alloc(bodyBytes, 1)
    await sendAll(channel, body, frames / 10, wait, answered)
    const seconds = await sendAll(channel, body, frames, wait, answered)
    const bareSeconds = await sendBare(join(at, 'bare'), bodyBytes * frames)
    const [perSecond, megabytes] = [frames / seconds, (frames * bodyBytes) / seconds / 1e6]
    const bare = (frames * bodyBytes) / bareSeconds / 1e6
    console.log(`${column(bodyBytes, 10)} ${column(perSecond, 12)} ${column(megabytes, 9)} ${column(bare, 11)}`)
  }
  const [micros, bareMicros] = [await roundTripMicros(channel, answered), await bareRoundTripMicros(join(at, 'echo'))]
  console.log(`round trip of 64 bytes, median: ${micros.toFixed(1)} us; bare ${bareMicros.toFixed(1)} us`)
  channel.close()
}

async function sendAll(
  channel: Channel,
  body: Buffer,
  frames: number,
  wait: () => Promise<void>,
  answered: () => Promise<Buffer>,
): Promise<number> {
  const start = performance.now()
  for (let sent = 0; sent < frames; ) {
    for (let i = 0; i < batchFrames && sent < frames; i++, sent++) channel.send(frame, body)
    channel.flush()
    if (channel.writable) await new Promise(setImmediate)
    else await wait()
  }
  const count = answered()
  channel.send(done)
  const arrived = (await count).readUInt32LE(0)
  if (arrived !== frames) throw new Error(`${arrived} of ${frames} frames arrived`)
  return (performance.now() - start) / 1000
}

async function sendBare(path: string, bytes: number): Promise<number> {
  const start = performance.now()
  const socket = connect(path)
  const chunk = Buffer.alloc(65_536)
  for (let left = bytes; left > 0; left -= chunk.length)
    if (!socket.write(left < chunk.length ? chunk.subarray(0, left) : chunk)) await once(socket, 'drain')
  socket.end()
  await once(socket, 'data')
  return (performance.now() - start) / 1000
}

async function roundTripMicros(channel: Channel, answered: () => Promise<Buffer>): Promise<number> {
  const micros: number[] = []
  const body = Buffer.alloc(64)
  for (let i = 0; i < 20_000; i++) {
    const start = performance.now()
    const back = answered()
    channel.send(ping, body)
    channel.flush()
    await back
    micros.push((performance.now() - start) * 1000)
  }
  return micros.sort((a, b) => a - b)[micros.length >> 1] as number
}

async function bareRoundTripMicros(path: string): Promise<number> {
  const socket = connect(path)
  const micros: number[] = []
  const body = Buffer.alloc(64)
  for (let i = 0; i < 20_000; i++) {
    const start = performance.now()
    socket.write(body)
    await once(socket, 'data')
    micros.push((performance.now() - start) * 1000)
  }
  socket.destroy()
  return micros.sort((a, b) => a - b)[micros.length >> 1] as number
}

function column(value: number, width: number): string {
  return Math.round(value).toLocaleString('en').padStart(width)
}
