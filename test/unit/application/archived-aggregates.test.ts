import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { StreamArchived } from '../../../src/actions/action.ts'
import { MemoryTarget } from '../../../src/archive/memory-target.ts'
import { CommanderError } from '../../../src/kernel/errors.ts'
import { lsn, revision } from '../../../src/kernel/identifiers.ts'
import { EventLogReader } from '../../../src/tables/event-log.ts'
import { packStreamObject } from '../../../src/tables/stream-object.ts'
import { StreamReader } from '../../../src/tables/stream-reader.ts'
import { received } from '../role-world.ts'
import { ApplicationWorld, summary } from './application-world.ts'

const aggregate = { type: 'counter', id: 'a' }

/** Three events of `counter/a`, archived, with a snapshot of other code, so that only the events help. */
async function archivedWorld(target: MemoryTarget): Promise<ApplicationWorld> {
  const app = ApplicationWorld.registered({ vault: target })
  for (const amount of [1, 2, 3]) app.add('a', amount)
  app.acceptDrafts()
  app.store()
  const log = new EventLogReader(app.filled.store, app.archived)
  const entries = [...new StreamReader(app.filled.store, log, app.archived).entries('counter/a', 1)]
  const object = await packStreamObject(aggregate, 1, 3, entries)
  await target.putBytes(object.name, object.bytes)
  const archived: StreamArchived = {
    type: 'stream/archived',
    aggregate,
    from: revision(1),
    upTo: revision(3),
    lastLsn: lsn(1),
    object: object.name,
    digest: object.digest,
    snapshot: { definition: 'of other code', revision: revision(3), state: { value: 99 } },
    atMs: 0,
  }
  app.append(archived)
  app.store()
  app.store()
  // Whatever is in memory may no longer be current.
  app.otherInstanceComes()
  app.store()
  return app
}

async function drafted(app: ApplicationWorld): Promise<string[]> {
  // What was packed is unpacked on other threads.
  for (let turn = 0; turn < 2000 && app.follower.drafts.length === 0; turn++) {
    await sleep(2)
    app.world.scheduler.settle()
  }
  return summary(app.acceptDrafts())
}

const assertSix = () => received('a', 'assertValue', { value: 6 })

describe('an aggregate whose events are archived, and whose snapshot is of other code', () => {
  it('is folded from the archive, and its commands wait so long', async () => {
    const app = await archivedWorld(new MemoryTarget())
    const [first] = app.start(assertSix())
    const second = app.add('a', 4)
    expect(app.follower.drafts).toEqual([])
    const other = app.add('b', 1)
    expect(summary(app.follower.takeActions())).toEqual([`${other} completed at 0: 1`])
    expect(await drafted(app)).toEqual([`${first} completed at 3: `, `${second} completed at 3: 4`])
  })

  it('fails while the archive is down, to be tried again, and goes on when it is back', async () => {
    const target = new MemoryTarget()
    const app = await archivedWorld(target)
    target.fault = () => {
      throw new CommanderError('archive_unavailable', 'down')
    }
    const [command] = app.start(assertSix())
    expect(await drafted(app)).toEqual([`${command} failed: again in 100`])
    target.fault = () => {}
    app.startAgain(command as never)
    expect(await drafted(app)).toEqual([`${command} completed at 3: `])
  })
})
