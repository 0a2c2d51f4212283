import { systemClock, systemRandom, wakefulScheduler } from '../../src/kernel/system-environment.ts'
import { FileMetadataStore } from '../../src/replication/file-metadata-store.ts'
import { type RunningDatabase, send } from './running-database.ts'

const patienceMs = 1000

/**
 * SIGSTOP of all processes of a node, at a moment when none of them holds the lock of a metadata store in a directory: whoever stands
 * still with that keeps every other node out for as long.
 *
 * @returns their pids
 */
export async function standStill(node: RunningDatabase, metadataDirectory: string): Promise<readonly number[]> {
  const pids = (await node.status())?.processes.flatMap(({ pid }) => pid ?? []) ?? []
  const world = { clock: systemClock, scheduler: wakefulScheduler, random: systemRandom }
  const store = await FileMetadataStore.open({ directory: metadataDirectory, patienceMs, ...world })
  const isFree = (): Promise<boolean> =>
    store.compareAndSwap('nobody', 0, null).then(
      () => true,
      () => false,
    )
  try {
    for (;;) {
      for (const pid of pids) send(pid, 'SIGSTOP')
      if (await isFree()) return pids
      for (const pid of pids) send(pid, 'SIGCONT')
      // Whoever holds it needs time to let go.
      while (!(await isFree())) {}
    }
  } finally {
    await store.close()
  }
}
