import type { Query } from '../ipc/client-protocol.ts'
import { unreachable } from '../kernel/assert.ts'
import type { StreamOperations } from './stream-operations.ts'
import type { WorkflowReads } from './workflow-reads.ts'

export type Later =
  | 'streamLife'
  | 'closeStream'
  | 'archiveStream'
  | 'deleteStream'
  | 'workflow'
  | 'workflowRecord'
  | 'workflows'

/** Answers that take more than one turn. */
export function laterAnswer(
  { streams, workflows }: { readonly streams: StreamOperations; readonly workflows: WorkflowReads },
  query: Extract<Query, { readonly ask: Later }>,
): Promise<unknown> {
  switch (query.ask) {
    case 'streamLife':
      return streams.life(query.aggregate, query.id)
    case 'closeStream':
      return streams.close(query.aggregate, query.id)
    case 'archiveStream':
      return streams.archive(query.aggregate, query.id, query.upTo)
    case 'deleteStream':
      return streams.delete(query.aggregate, query.id)
    case 'workflow':
      return workflows.view(query.name, query.id)
    case 'workflowRecord':
      return Promise.resolve(workflows.record(query.name, query.id))
    case 'workflows':
      return workflows.list(query)
    default:
      return unreachable(query)
  }
}
