import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNodeIpcTransport } from '../src/ipc/node-ipc-transport-adapter.ts'
import { createRoutedTransport } from '../src/ipc/routed-transport.ts'
import { createTlsTransport, readTlsIdentity } from '../src/ipc/tls-transport-adapter.ts'
import { FileStorage } from '../src/journal/file-storage.ts'
import { openJournal } from '../src/journal/journal.ts'
import { defaultJournalOptions } from '../src/journal/options.ts'
import { lsn } from '../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../src/kernel/system-environment.ts'
import { Authority, ownAddress } from '../test/fixtures/certificates.ts'
import { BatchChain, ScriptedLeader } from '../test/fixtures/scripted-leader.ts'
import { ServerProcess } from '../test/process/journal-server-process.ts'
import { cpuSecondsOf, readCpuUse } from './process-usage.ts'

/**
 * `node bench/journal-server.ts [seconds]`: batches appended and flushed a second, and the processor time that each costs, by one journal
 * server as a process, over a socket and over TLS, beside a bare local journal in this process on the same disk. `depth` batches
 * are under way at a time. Not measured: a leader, a group, a network.
 */
const seconds = Number(process.argv[2] ?? 5)
const payloadBytes = 4096
const depths = [1, 16, 256]
const environment = createSystemEnvironment()
const journalOptions = { ...defaultJournalOptions, segmentBytes: 16_777_216, maxBytes: 1_099_511_627_776 }

interface Figures {
  readonly batches: number
  readonly elapsedMs: number
  readonly cpuSeconds: number
}

function say(what: string, depth: number, { batches, elapsedMs, cpuSeconds }: Figures): void {
  const rate = Math.round((batches / elapsedMs) * 1000)
  const cost = ((cpuSeconds / batches) * 1e6).toFixed(0)
  process.stdout.write(`${what}, depth ${depth}: ${rate} batches/s, ${cost} us of processor time a batch\n`)
}

const ownCpuSeconds = (): number => cpuSecondsOf(readCpuUse(process.pid))

async function bareJournal(directory: string, depth: number): Promise<Figures> {
  const id = Buffer.alloc(16, 1)
  const request = { journalId: id, serverId: id, floorLsn: lsn(0), replayFrom: lsn(1) }
  const storage = new FileStorage(directory)
  const { journal } = await openJournal({ ...request, storage, environment, options: journalOptions })
  const payload = Buffer.alloc(payloadBytes, 7)
  const [startMs, startCpu] = [performance.now(), ownCpuSeconds()]
  await new Promise<void>((resolve, reject) => {
    const turn = (): void => {
      while (journal.writtenLsn - journal.flushedLsn < depth)
        journal.append(payload, lsn(journal.writtenLsn + 1), 1, journal.flushedLsn)
      journal.flush((_flushed, error) => {
        if (error !== null) reject(error)
        else if (performance.now() - startMs < seconds * 1000) turn()
        else resolve()
      })
    }
    turn()
  })
  const figures = {
    batches: journal.flushedLsn,
    elapsedMs: performance.now() - startMs,
    cpuSeconds: ownCpuSeconds() - startCpu,
  }
  await new Promise<void>((resolve) => journal.close(() => resolve()))
  return figures
}

async function server(directory: string, kind: 'socket' | 'TLS', depth: number): Promise<Figures> {
  const authority = kind === 'TLS' ? new Authority(directory) : null
  const listen = authority === null ? join(directory, 'run', 'server.sock') : `tls://${ownAddress()}`
  const tls = authority === null ? {} : { tls: authority.files('s1') }
  const metadata = `file:${join(directory, 'metadata')}`
  const started = await ServerProcess.start({ directory, serverId: 's1', listen, metadata, ...tls })
  const identity = authority === null ? null : readTlsIdentity(authority.files('leader'))
  const transport = createRoutedTransport(
    createNodeIpcTransport(environment),
    createTlsTransport(environment, identity),
  )
  const leader = new ScriptedLeader(transport, listen.replace('tls://', 'tls://s1@'), 1)
  await leader.open()
  const chain = new BatchChain()
  const pid = started.child.pid ?? 0
  const [startMs, startCpu] = [performance.now(), cpuSecondsOf(readCpuUse(pid))]
  let batches = 0
  const writer = async (): Promise<void> => {
    while (performance.now() - startMs < seconds * 1000) {
      const answer = await leader.append(chain.next(1, payloadBytes))
      if (answer.kind !== 'appended') throw new Error(JSON.stringify(answer))
      batches++
    }
  }
  await Promise.all(Array.from({ length: depth }, writer))
  const elapsedMs = performance.now() - startMs
  const cpuSeconds = cpuSecondsOf(readCpuUse(pid)) - startCpu
  leader.close()
  await started.stop()
  return { batches, elapsedMs, cpuSeconds }
}

for (const depth of depths) {
  for (const what of ['bare journal', 'socket', 'TLS'] as const) {
    const directory = mkdtempSync(join(tmpdir(), 'journal-server-bench-'))
    try {
      const figures = what === 'bare journal' ? bareJournal(directory, depth) : server(directory, what, depth)
      say(what === 'bare journal' ? what : `journal server, ${what}`, depth, await figures)
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
}
