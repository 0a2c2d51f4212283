import { Dispatcher } from '../dispatcher/dispatcher.ts'
import type { DispatcherOptions } from '../dispatcher/options.ts'
import type { Follower } from '../replica/follower.ts'
import { keyLookup } from '../tables/idempotency-keys.ts'
import { readRoot } from '../tables/meta.ts'
import { readTimers } from '../tables/timers.ts'
import { followerOf, newOrigin } from './start-follower.ts'
import type { RunningRole, Surroundings } from './surroundings.ts'

export interface RunningDispatcher extends RunningRole {
  readonly dispatcher: Dispatcher
  readonly follower: Follower
}

export function startDispatcher(
  surroundings: Surroundings,
  options: Partial<DispatcherOptions> = {},
): RunningDispatcher {
  const { environment, openStore, failed } = surroundings
  const store = openStore('read')
  const state = readRoot(store, { lookup: keyLookup(store), keepsPayloads: false })
  const origin = newOrigin(surroundings)
  const dispatcher = new Dispatcher(environment, state, origin, failed, {
    readTimers: (after, limit) => {
      store.refresh()
      return readTimers(store, after, limit)
    },
    ...options,
  })
  const follower = followerOf(surroundings, dispatcher, { name: 'dispatcher', origin, after: state.lsn })
  dispatcher.start(follower)
  const stop = async (): Promise<void> => {
    dispatcher.stop()
    await store.close()
  }
  return { dispatcher, follower, stop }
}
