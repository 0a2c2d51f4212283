import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Listener } from '../../src/ipc/channel.ts'
import { createNodeIpcTransport } from '../../src/ipc/node-ipc-transport-adapter.ts'
import { locateSocket } from '../../src/ipc/socket-file-adapter.ts'
import { systemScheduler } from '../../src/kernel/system-environment.ts'
import { RecordingLog } from '../unit/ipc/recording-log.ts'
import { Recorder } from './transport-recorder.ts'

describe('the files of sockets', () => {
  const transport = createNodeIpcTransport({ scheduler: systemScheduler, log: new RecordingLog() })
  const listeners: Listener[] = []
  let directory: string

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ipc-'))
    vi.stubEnv('TMPDIR', directory)
  })

  afterEach(async () => {
    for (const listener of listeners.splice(0)) await listener.close()
    vi.unstubAllEnvs()
    rmSync(directory, { recursive: true })
  })

  const listen = async (address: string): Promise<void> => {
    listeners.push(await transport.listen(address, (channel) => new Recorder().open(channel)))
  }

  const connect = async (address: string): Promise<string> => {
    const client = new Recorder()
    transport.connect(address, client.open)
    await client.until(() => client.told.length > 1)
    client.live.close()
    await client.untilClosed()
    return client.told[1] === 'opened' ? 'opened' : (client.closings[0]?.message ?? '')
  }

  /** What a killed process leaves behind: a socket file that nobody listens on. */
  const leaveStaleSocket = async (path: string): Promise<void> => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(`${path}-old`, resolve))
    renameSync(`${path}-old`, path)
    await new Promise((resolve) => server.close(resolve))
  }

  it('lie in a directory for this user only, made with the parents that are missing', async () => {
    const address = join(directory, 'data', 'run', 'control')
    await listen(address)
    expect(statSync(address).isSocket()).toBe(true)
    expect(statSync(dirname(address)).mode & 0o777).toBe(0o700)
    expect(await connect(address)).toBe('opened')
  })

  it('are gone when the listener is closed', async () => {
    const address = join(directory, 'control')
    await listen(address)
    await listeners.pop()?.close()
    expect(existsSync(address)).toBe(false)
  })

  it('are replaced when a killed process left them', async () => {
    const address = join(directory, 'control')
    await leaveStaleSocket(address)
    expect(await connect(address)).toContain('ECONNREFUSED')
    await listen(address)
    expect(await connect(address)).toBe('opened')
  })

  it('are not replaced when they are no sockets', async () => {
    const address = join(directory, 'control')
    writeFileSync(address, 'precious')
    await expect(listen(address)).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(address),
    })
    expect(statSync(address).size).toBe(8)
  })

  it('are refused in a directory that others may enter, by both sides', async () => {
    const shared = join(directory, 'shared')
    mkdirSync(shared)
    chmodSync(shared, 0o755)
    const refusal = `${shared} is open to other users (mode 755)`
    await expect(listen(join(shared, 'control'))).rejects.toMatchObject({
      code: 'invalid_config',
      message: expect.stringContaining(refusal),
    })
    expect(await connect(join(shared, 'control'))).toContain(refusal)
    expect(statSync(shared).mode & 0o777).toBe(0o755)
  })

  it('are reached by paths that are longer than a socket path can be', async () => {
    const long = join(directory, 'a'.repeat(120), 'run', 'control')
    await listen(long)
    expect(locateSocket(long).length).toBeLessThanOrEqual(100)
    expect(statSync(dirname(locateSocket(long))).mode & 0o777).toBe(0o700)
    expect(await connect(long)).toBe('opened')
    expect(await connect(join(directory, 'a'.repeat(120), 'run', 'other'))).toContain('nobody listens')
  })

  it('are the same through a symbolic link, also when the path is long', async () => {
    const real = join(directory, 'r'.repeat(120))
    mkdirSync(real, { mode: 0o700 })
    symlinkSync(real, join(directory, 'link'))
    await listen(join(directory, 'link', 'control'))
    expect(await connect(join(real, 'control'))).toBe('opened')
  })

  it('are found by a relative path', async () => {
    const address = join(directory, 'control')
    await listen(address)
    const up = process.cwd().split('/').slice(1).fill('..')
    expect(await connect(join(...up, address))).toBe('opened')
  })
})
