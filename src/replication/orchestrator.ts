import type { ServerId } from './messages.ts'

/**
 * Starts and ends journal servers on behalf of the master. The one in supervisor/host-orchestrator.ts has processes on this host;
 * for other hosts somebody implements the same over what starts processes there.
 */
export interface Orchestrator {
  list(): Promise<readonly ProvisionedServer[]>
  /**
   * So many more, each with an id that was never used before and an empty directory. They are started again whenever they end, and
   * with the host, until they are deprovisioned. Resolves when they are on their way: they register themselves when they are ready.
   */
  provision(count: number): Promise<readonly ServerId[]>
  /**
   * Ends it for good. Only of one that no segment names: take it out of the cluster first. Its data is set aside and not deleted.
   * @throws CommanderError `not_found`
   */
  deprovision(id: ServerId): Promise<void>
}

export interface ProvisionedServer {
  readonly id: ServerId
  /** `failing`: it ends again and again. */
  readonly state: 'starting' | 'ready' | 'failing' | 'stopping'
}
