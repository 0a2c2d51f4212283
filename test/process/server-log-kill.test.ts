import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { defaultJournalOptions } from '../../src/journal/options.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { isIntact, lastLsnOf } from '../../src/replication/batch.ts'
import { FileServerDisk } from '../../src/replication/file-server-disk.ts'
import { openServerLog } from '../../src/replication/journal-server-log.ts'

const child = path.join(import.meta.dirname, 'server-log-child.ts')
let directory: string

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-server-log-'))
})

afterEach(() => {
  fs.rmSync(directory, { recursive: true })
})

interface Said {
  promised: number
  flushed: number
}

/** Lets a log work until it has said so many lines, kills it, and adds what it acknowledged. */
async function killAfter(lines: number, said: Said): Promise<void> {
  const server = spawn(process.execPath, [child, path.join(directory, 'log')], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  server.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.split('\n').length > lines) server.kill('SIGKILL')
  })
  await new Promise((resolve) => server.on('close', resolve))
  expect(server.signalCode).toBe('SIGKILL')
  for (const [, what, value] of output.matchAll(/(promised|flushed) (\d+)\n/g))
    said[what as keyof Said] = Math.max(said[what as keyof Said], Number(value))
}

it('loses no promise and no flushed batch of a process that is killed again and again', async () => {
  const said: Said = { promised: 0, flushed: 0 }
  for (const lines of [1, 2, 40, 15, 60, 33]) {
    await killAfter(lines, said)
    const log = await openServerLog({
      disk: new FileServerDisk(path.join(directory, 'log')),
      environment: createSystemEnvironment(),
      options: { ...defaultJournalOptions, segmentBytes: 1 << 20, maxBytes: Number.POSITIVE_INFINITY },
      serverId: 's1',
      clusterId: 'c1',
    })
    expect(log.promised('s')).toBeGreaterThanOrEqual(said.promised)
    expect(log.segments('s').at(-1)?.tail).toBeGreaterThanOrEqual(said.flushed)
    let next = 1
    for (const segment of log.segments('s')) {
      expect(segment).toMatchObject({ damaged: [], atLeast: false, base: next })
      for (const batch of log.read('s', segment.epoch, segment.base, segment.tail, Number.POSITIVE_INFINITY)) {
        expect(batch.firstLsn).toBe(next)
        expect(isIntact(batch)).toBe(true)
        next = lsn(lastLsnOf(batch) + 1)
      }
    }
    await new Promise<void>((resolve, reject) => log.close((error) => (error === null ? resolve() : reject(error))))
  }
  expect(said.flushed).toBeGreaterThan(500)
  expect(said.promised).toBeGreaterThan(8)
})
