/**
 * journal epoch started: another node leads the replicated journal from here on. Instances that registered before it are
 * deregistered, for they are the former leader's; every assignment is over. Never in a journal that one node keeps alone.
 */
export interface JournalEpochStarted {
  readonly type: 'journal/epoch-started'
  /** Grows with every leader. */
  readonly epoch: number
  /** Id of the node that leads. */
  readonly leader: string
  readonly atMs: number
}
