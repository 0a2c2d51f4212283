import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { Database } from '../../src/client.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { metadataKeys } from '../../src/replication/metadata-store.ts'
import { openMetadataStore } from '../../src/replication/open-metadata-store-adapter.ts'
import type { StreamMeta } from '../../src/replication/stream-meta.ts'
import { decodeStreamMeta } from '../../src/replication/stream-meta-codec.ts'
import { ClusterWorld } from './cluster-world.ts'
import { fixtureApplication, type TestConfig, until } from './running-database.ts'

const mebibyte = 1_048_576
/** Checkpoints come by the size of the journal, and so everything goes on its own. */
const small: TestConfig = {
  applications: [{ module: fixtureApplication('troublesome') }],
  journal: { segmentBytes: mebibyte, maxJournalBytes: 4 * mebibyte },
}

let world: ClusterWorld
afterEach(() => world?.remove())

async function recordOf(): Promise<StreamMeta> {
  const store = await openMetadataStore(world.metadata, createSystemEnvironment())
  try {
    return decodeStreamMeta((await store.get(metadataKeys.stream('database')))?.value ?? '')
  } finally {
    await store.close()
  }
}

const produce = (client: Database, bytes = 200_000): Promise<unknown> =>
  client.execute('thing', 'one', 'produce', { bytes })

/** Commands until so much of the stream is given up. */
async function untilTrimmed(client: Database, beyond: number): Promise<StreamMeta> {
  return until(`the stream to be trimmed beyond LSN ${beyond}`, async () => {
    for (let i = 0; i < 8; i++) await produce(client)
    const meta = await recordOf()
    return meta.trimLsn > beyond ? meta : null
  })
}

describe('the archive of a replicated journal', () => {
  it('gets what is sealed from whichever node leads, before it is trimmed', async () => {
    world = new ClusterWorld({}, { ...small, archive: { directory: 'archive' } })
    await world.start()
    const client = await world.connect()
    const { trimLsn } = await untilTrimmed(client, 0)
    const { leader } = await world.leader()
    await leader.killAll()
    const later = await untilTrimmed(client, trimLsn + 20)
    const names = readdirSync(join(world.directory, 'archive', 'database', '00000001')).sort()
    // One behind the other, from the first entry to the mark at least, each once.
    const ranges = names.map((name) => name.split('-').slice(0, 2).map(Number) as [number, number])
    let end = 0
    for (const [base, tail] of ranges) {
      expect(base).toBe(end + 1)
      end = tail
    }
    expect(end).toBeGreaterThanOrEqual(later.trimLsn)
    const { archive } = (await (await world.leader()).leader.status()) ?? {}
    expect(archive).toMatchObject({ location: join(world.directory, 'archive'), failures: 0, error: null })
    expect(archive?.archivedLsn).toBeGreaterThanOrEqual(trimLsn)
  })
})
