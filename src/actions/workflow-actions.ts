import type { Lsn, Revision, Token } from '../kernel/identifiers.ts'
import type { AggregateReference, AggregateSnapshot, EventDraft, Message } from './entry-parts.ts'

/** What an entry does to its workflow beside appending events. */
export interface WorkflowEffects {
  /** The workflow has something to do: it stays assigned to this application instance, under this entry's command and token. */
  readonly activates?: true
  /** It has nothing to do until something comes: its assignment is over. */
  readonly releases?: true
  /** It has ended. */
  readonly ends?: true
  /** Its events change the index of workflows or of timers. */
  readonly indexed?: true
  /** Its events are nothing but further attempts at what was begun before: it has not got on. */
  readonly repeats?: true
}

/**
 * workflow advanced: what its code did in one step: requests completed, failed and started, timers started, messages sent,
 * the workflow completed or failed, its assignment released
 */
export interface WorkflowAdvanced {
  readonly type: 'workflow/advanced'
  readonly aggregate: AggregateReference
  /** The command that activated the workflow. */
  readonly activation: Lsn
  /** The assignment that the step was made under. */
  readonly token: Token
  readonly atMs: number
  readonly baseRevision: Revision
  readonly events: readonly EventDraft[]
  readonly messages: readonly Message[]
  readonly snapshot: AggregateSnapshot | null
  readonly workflow?: WorkflowEffects
}

/** workflow resumed: active workflows assigned to another application instance, or to another incarnation of theirs */
export interface WorkflowResumed {
  readonly type: 'workflow/resumed'
  readonly instance: string
  readonly activations: readonly Lsn[]
}
