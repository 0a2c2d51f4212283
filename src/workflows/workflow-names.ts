import type { AggregateReference } from '../actions/action.ts'
import { parseAggregateKey } from '../actions/aggregate-key.ts'

/** The history of a workflow is the stream of an aggregate: its type is the workflow's name behind this. No aggregate's name has a colon. */
const prefix = 'workflow:'

export const workflowType = (name: string): string => prefix + name
export const isWorkflowType = (type: string): boolean => type.startsWith(prefix)
export const isWorkflowKey = (key: string): boolean => key.startsWith(prefix)
export const workflowNameOf = (type: string): string => type.slice(prefix.length)

/** Commands on workflows that only the database itself sends. */
export const internalCommands: ReadonlySet<string> = new Set(['timer', 'commandEnded', 'childEnded', 'park'])

/**
 * By what others name an operation when they say how it ended. Names begin anew with each run, and an answer to a former
 * run must not be taken for one to an operation of this run.
 */
export const addressOf = (run: number, operation: string): string => (run === 1 ? operation : `${run}:${operation}`)

/** The operation that is meant; null when it is one of another run. */
export function operationAt(address: string, run: number): string | null {
  const [, ofRun, operation] = /^(\d+):(.*)$/s.exec(address) ?? [null, '1', address]
  return Number(ofRun) === run ? (operation as string) : null
}

const separator = '.'

/** What a callback has to name: the workflow, and the operation of one of its runs. */
export const awakeableId = (key: string, run: number, operation: string): string =>
  Buffer.from(`${key}\n${addressOf(run, operation)}`).toString('base64url') + separator

export interface AwakeablePlace {
  readonly workflow: AggregateReference
  readonly operation: string
}

/** null: it is none. */
export function awakeablePlace(id: string): AwakeablePlace | null {
  if (!id.endsWith(separator)) return null
  const [key, operation, rest] = Buffer.from(id.slice(0, -1), 'base64url').toString('utf8').split('\n')
  if (key === undefined || operation === undefined || rest !== undefined || !isWorkflowKey(key)) return null
  return { workflow: parseAggregateKey(key), operation }
}
