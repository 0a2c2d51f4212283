import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { FileStorage } from '../../src/journal/file-storage.ts'
import { type Journal, openJournal } from '../../src/journal/journal.ts'
import { MemoryStorage, type StorageFault } from '../../src/journal/memory-storage.ts'
import type { JournalFile, JournalStorage } from '../../src/journal/storage.ts'
import { type Environment, type Scheduler, silentLog } from '../../src/kernel/environment.ts'
import { CommanderError } from '../../src/kernel/errors.ts'
import { type Lsn, lsn, noLsn } from '../../src/kernel/identifiers.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { ReplicatedJournal, type ReplicationLeader } from '../../src/replication/replicated-journal.ts'
import { journalId, ManualScheduler, seededRandom, serverId } from '../unit/journal/journal-world.ts'
import { MachineLeader } from '../unit/replication/machine-leader.ts'
import { ScriptedLeader } from '../unit/replication/scripted-leader.ts'
import { contractOptions, type JournalFixture, journalContract } from './journal-contract.ts'

type Settle = JournalFixture['settle']

const open = async (storage: JournalStorage, environment: Environment): Promise<Journal> => {
  const options = contractOptions
  const request = { storage, environment, journalId, serverId, options, floorLsn: noLsn, replayFrom: lsn(1) }
  return (await openJournal(request)).journal
}

/** A disk in memory, and time that passes as somebody waits. */
class MemoryWorld {
  readonly scheduler = new ManualScheduler()
  fault: StorageFault | null = null
  readonly storage: MemoryStorage
  readonly environment: Environment

  constructor() {
    const { scheduler } = this
    this.storage = new MemoryStorage({ scheduler, fault: ({ kind }) => (kind === 'flush' ? this.fault : null) })
    this.environment = {
      clock: { wallMs: () => 1_700_000_000_000 + scheduler.nowMs, monotonicMs: () => scheduler.nowMs },
      scheduler,
      random: seededRandom(1),
      log: silentLog,
    }
  }

  readonly settle: Settle = async (isOver) => {
    for (let turns = 0; !isOver(); turns++) {
      if (turns > 10_000) throw new Error('it does not come')
      await Promise.resolve()
      this.scheduler.advance(turns < 100 ? 0 : 10)
    }
  }

  async open(): Promise<Journal> {
    let journal: Journal | null = null
    const opening = open(this.storage, this.environment).then((opened) => {
      journal = opened
    })
    await this.settle(() => journal !== null)
    await opening
    return journal as unknown as Journal
  }
}

async function memoryFixture(world = new MemoryWorld()): Promise<JournalFixture> {
  return {
    journal: await world.open(),
    storage: world.storage,
    settle: world.settle,
    failFlushes: () => {
      world.fault = 'eio'
    },
    reopen: () => memoryFixture(world),
    remove: () => {},
  }
}

/** Real files, whose flushes fail when told to. */
class FailingStorage extends FileStorage {
  failsFlushes = false

  override open(name: string): JournalFile {
    const file = super.open(name)
    const flush: JournalFile['flush'] = (done) => {
      if (this.failsFlushes) setImmediate(() => done(new CommanderError('journal_failed', `EIO: ${name}`)))
      else file.flush(done)
    }
    return {
      name: file.name,
      size: () => file.size(),
      read: (target, position) => file.read(target, position),
      write: (parts, position) => file.write(parts, position),
      flush,
      close: () => file.close(),
    }
  }
}

async function fileFixture(
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commanderdb-journal-')),
): Promise<JournalFixture> {
  const storage = new FailingStorage(path.join(directory, 'journal'))
  const journal = await open(storage, createSystemEnvironment(silentLog))
  return {
    journal,
    storage,
    settle: async (isOver) => {
      while (!isOver()) await new Promise((resolve) => setImmediate(resolve))
    },
    failFlushes: () => {
      storage.failsFlushes = true
    },
    reopen: () => fileFixture(directory),
    remove: () => fs.rmSync(directory, { recursive: true }),
  }
}

type MakeLeader = (
  tail: Lsn,
  scheduler: Scheduler,
) => { readonly leader: ReplicationLeader; readonly depose: () => void }

/** Of a node that leads, over servers that commit in the next turn, until they depose it. */
async function leaderFixture(makeLeader: MakeLeader, world = new MemoryWorld()): Promise<JournalFixture> {
  const cache = await world.open()
  const journal = new ReplicatedJournal(cache, world.environment, () => {})
  const { leader, depose } = makeLeader(cache.writtenLsn, world.scheduler)
  journal.lead(leader)
  return {
    journal,
    storage: world.storage,
    settle: world.settle,
    failFlushes: depose,
    reopen: () => leaderFixture(makeLeader, world),
    remove: () => {},
  }
}

journalContract('a virtual disk', () => memoryFixture())
journalContract('a directory', () => fileFixture())
journalContract('a stream that this node leads', () =>
  leaderFixture((tail, scheduler) => {
    const leader = new ScriptedLeader(tail, scheduler)
    const depose = (): void => {
      leader.isDeposed = true
    }
    return { leader, depose }
  }),
)
journalContract('a stream on three journal servers', () =>
  leaderFixture((tail, scheduler) => {
    const leader = new MachineLeader(tail, scheduler)
    return { leader, depose: () => leader.depose() }
  }),
)
