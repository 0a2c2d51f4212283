import type { Transport } from '../ipc/channel.ts'
import type { Environment } from '../kernel/environment.ts'
import { MasterShell } from '../replication/master-shell.ts'
import type { MasterOptions } from '../replication/master-state.ts'
import { MasterTurn } from '../replication/master-turn.ts'
import type { MetadataStore } from '../replication/metadata-store.ts'
import type { Orchestrator } from '../replication/orchestrator.ts'
import type { RunningRole } from './surroundings.ts'

export interface JournalMasterSettings {
  readonly environment: Environment
  readonly metadata: MetadataStore
  /** To journal servers. */
  readonly transport: Transport
  readonly nodeId: string
  /** Of the nodes, and of the masters' turns. */
  readonly leaseMs: number
  /** Without what follows from the lease. */
  readonly options: Omit<MasterOptions, 'leaseMs' | 'leaderSilenceMs'>
  readonly orchestrator: Orchestrator | null
}

export interface RunningMaster extends RunningRole {
  readonly shell: MasterShell
}

const looksPerLease = 8
/** A node whose key is gone was silent for a lease already: it is judged soon after. */
const silencesPerLease = 4

/** One of the masters of a cluster: waits for its turn, then suggests. */
export function startJournalMaster(settings: JournalMasterSettings): RunningMaster {
  const { environment, metadata, transport, nodeId, leaseMs, orchestrator } = settings
  const incarnation = environment.random.uuid()
  const turn = new MasterTurn({ environment, metadata, id: nodeId, incarnation, ttlMs: leaseMs })
  const options = { ...settings.options, leaseMs, leaderSilenceMs: leaseMs / silencesPerLease }
  const lookMs = leaseMs / looksPerLease
  const shell = new MasterShell({ environment, metadata, transport, turn, options, lookMs, orchestrator })
  const stop = async (): Promise<void> => {
    await shell.stop()
    await turn.stop()
    await metadata.close()
  }
  return { shell, stop }
}
