import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../src/client.ts'
import { createSystemEnvironment } from '../../src/kernel/system-environment.ts'
import { metadataKeys } from '../../src/replication/metadata-store.ts'
import { openMetadataStore } from '../../src/replication/open-metadata-store-adapter.ts'
import type { StreamMeta } from '../../src/replication/stream-meta.ts'
import { decodeStreamMeta } from '../../src/replication/stream-meta-codec.ts'
import type { ClusterWorld } from './cluster-world.ts'
import { fixtureApplication, type TestConfig, until } from './running-database.ts'

const mebibyte = 1_048_576
/** Checkpoints come by the size of the journal, and so everything goes on its own. */
export const small: TestConfig = {
  applications: [{ module: fixtureApplication('troublesome') }],
  journal: { segmentBytes: mebibyte, maxJournalBytes: 4 * mebibyte },
}

async function recordOf({ metadata }: ClusterWorld): Promise<StreamMeta> {
  const store = await openMetadataStore(metadata, createSystemEnvironment())
  try {
    return decodeStreamMeta((await store.get(metadataKeys.stream('database')))?.value ?? '')
  } finally {
    await store.close()
  }
}

export const produce = (client: Database): Promise<unknown> =>
  client.execute('thing', 'one', 'produce', { bytes: 200_000 })

/** A node that has gone counts for ten seconds: what is produced meanwhile is to be little. */
const roundMs = 500

/** Commands until so much of the stream is given up. */
export async function untilTrimmed(world: ClusterWorld, client: Database, beyond: number): Promise<StreamMeta> {
  return until(`the stream to be trimmed beyond LSN ${beyond}`, async () => {
    for (let i = 0; i < 8; i++) await produce(client)
    await sleep(roundMs)
    const meta = await recordOf(world)
    return meta.trimLsn > beyond ? meta : null
  })
}

/** What was produced. */
export const countOf = async (client: Database): Promise<number> =>
  ((await client.read('thing', 'one')).state as { count: number }).count
