import type { CommanderError } from '../kernel/errors.ts'
import { ApplierServer } from '../projection-applier/applier-server.ts'
import { ProjectionApplier } from '../projection-applier/projection-applier.ts'
import type { Follower } from '../replica/follower.ts'
import type { Application } from '../sdk/application.ts'
import { WriterKeyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface ProjectionApplierSettings {
  readonly applications: readonly Application[]
  readonly checkpointTimeoutMs?: number
  readonly commitIntervalMs?: number
}

export interface RunningProjectionApplier extends RunningRole {
  readonly applier: ProjectionApplier
  readonly follower: Follower
}

export async function startProjectionApplier(
  surroundings: Surroundings,
  settings: ProjectionApplierSettings,
): Promise<RunningProjectionApplier> {
  const { environment, openStore, failed, transport, addresses } = surroundings
  const store = openStore('write')
  const keys = new WriterKeyLookup(store)
  const state = readRoot(store, { lookup: keys.lookup, keepsPayloads: true })
  const origin = newOrigin(surroundings)
  const applier = new ProjectionApplier({
    environment,
    store,
    origin,
    state,
    keys,
    reset: (error: CommanderError) => failed(error),
    failed,
    ...settings,
  })
  const server = new ApplierServer(applier)
  const listener = await transport.listen(addresses.applier, (channel) => server.accept(channel))
  const follower = followerOf(surroundings, applier, {
    name: 'projection-applier',
    origin,
    followsFlush: true,
    after: state.lsn,
  })
  applier.start(follower)
  const stop = async (): Promise<void> => {
    applier.stop()
    await listener.close()
    await store.close()
  }
  return { applier, follower, stop }
}
