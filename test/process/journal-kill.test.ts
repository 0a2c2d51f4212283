import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { verifyJournal } from '../../src/journal/inspect.ts'
import { openJournal, type RecoveryReport } from '../../src/journal/journal.ts'
import { segmentsOf } from '../../src/journal/segment-name.ts'
import { lsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { journalId, payloadOf, serverId, smallSegments } from '../unit/journal/journal-world.ts'

const child = new URL('journal-appending-child.ts', import.meta.url).pathname
let directory: string

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-journal-'))
})

afterEach(() => {
  fs.rmSync(directory, { recursive: true })
})

/** Lets a writer work until it has acknowledged so many lines, kills it, and returns the last LSN that it acknowledged. */
async function killAfter(lines: number): Promise<number> {
  const writer = spawn(process.execPath, [child, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.split('\n').length > lines) writer.kill('SIGKILL')
  })
  await new Promise((resolve) => writer.on('close', resolve))
  expect(writer.signalCode).toBe('SIGKILL')
  return Number(output.split('\n').at(-2))
}

async function recover(): Promise<{ report: RecoveryReport; entries: number }> {
  let entries = 0
  const { journal, report } = await openJournal({
    storage: new FileStorage(directory),
    environment: createSystemEnvironment(),
    journalId,
    serverId,
    options: smallSegments,
    floorLsn: lsn(0),
    replayFrom: lsn(1),
    onBatch({ firstLsn, entryCount, payload }) {
      expect(firstLsn).toBe(entries + 1)
      expect(payload.equals(payloadOf(firstLsn, payload.length))).toBe(true)
      entries += entryCount
    },
  })
  await new Promise<void>((resolve, reject) => journal.close((error) => (error === null ? resolve() : reject(error))))
  return { report, entries }
}

test('a writer that is killed again and again loses nothing that it acknowledged', async () => {
  let acknowledgedLsn = 0
  for (const lines of [1, 40, 15, 60]) {
    acknowledgedLsn = Math.max(acknowledgedLsn, await killAfter(lines))
    const { report, entries } = await recover()
    expect(report.recoveredLsn).toBeGreaterThanOrEqual(acknowledgedLsn)
    expect(entries).toBe(report.recoveredLsn)
    acknowledgedLsn = report.recoveredLsn
  }
  const storage = new FileStorage(directory)
  expect(verifyJournal(storage)).toMatchObject({ status: 'ok', lastLsn: acknowledgedLsn })
  expect(segmentsOf(storage.list()).length).toBeGreaterThan(3)
})

test('a writer that is killed leaves what it had written and not flushed', async () => {
  // the child writes one more frame while each flush is under way: without a power failure that one survives
  const acknowledgedLsn = await killAfter(20)
  const { report } = await recover()
  expect(report.recoveredLsn).toBeGreaterThan(acknowledgedLsn)
})
