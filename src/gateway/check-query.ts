import { consistencies, type Query } from '../ipc/client-protocol.ts'
import { CommanderError } from '../kernel/errors.ts'
import { workflowStatuses } from '../workflows/workflow-view.ts'

interface Field {
  readonly holds: (value: unknown) => boolean
  readonly expected: string
  readonly isOptional?: boolean
}

const text: Field = { holds: (value) => typeof value === 'string', expected: 'a text' }
const flag: Field = { holds: (value) => typeof value === 'boolean', expected: 'true or false' }
const state: Field = { holds: (value) => value === 'parked' || value === 'pending', expected: 'parked or pending' }
const workflowStatus: Field = {
  holds: (value) => (workflowStatuses as readonly unknown[]).includes(value),
  expected: `one of ${workflowStatuses.join(', ')}`,
}
const whole = (least: number): Field => ({
  holds: (value) => Number.isSafeInteger(value) && (value as number) >= least,
  expected: `a whole number from ${least} on`,
})
const optional = (field: Field): Field => ({ ...field, isOptional: true })

const floor = {
  minLsn: optional(whole(0)),
  sessionLsn: optional(whole(0)),
  consistency: optional({
    holds: (value) => (consistencies as readonly unknown[]).includes(value),
    expected: `one of ${consistencies.join(', ')}`,
  }),
}

const fieldsByQuestion: { readonly [Ask in Query['ask']]: Readonly<Record<string, Field>> } = {
  hello: {},
  state: { aggregate: text, id: text, atLsn: optional(whole(0)), ...floor },
  stream: { aggregate: text, id: text, from: whole(0), limit: whole(1), ...floor },
  projection: { name: text, key: text, ...floor },
  projections: {},
  schedules: {},
  queues: {},
  rebuild: { name: text },
  command: { id: text, waitMs: optional(whole(0)) },
  commands: { state, limit: whole(1), after: optional(whole(0)) },
  streamLife: { aggregate: text, id: text },
  closeStream: { aggregate: text, id: text },
  archiveStream: { aggregate: text, id: text, upTo: optional(whole(1)) },
  deleteStream: { aggregate: text, id: text },
  retry: { id: text },
  skip: { id: text, reason: text },
  workflow: { name: text, id: text, minLsn: optional(whole(0)) },
  workflowRecord: { name: text, id: text, minLsn: optional(whole(0)) },
  workflowEnd: { name: text, id: text },
  workflows: {
    name: optional(text),
    status: optional(workflowStatus),
    limit: whole(1),
    after: optional(text),
    waiting: optional(flag),
  },
  events: { after: whole(0), follow: flag, ...floor },
}

/**
 * A question as a client sent it: anything at all. What it leaves out or sends as nothing is absent afterwards.
 * @throws CommanderError `protocol_violation` for a question that there is not, `invalid_input` for a wrong field
 */
export function checkQuery(input: unknown): Query {
  const raw = (typeof input === 'object' && input !== null ? input : {}) as Readonly<Record<string, unknown>>
  const { ask } = raw
  if (typeof ask !== 'string' || !Object.hasOwn(fieldsByQuestion, ask)) {
    throw new CommanderError('protocol_violation', `a client asked ${JSON.stringify(ask)}, which is no question`)
  }
  const query: Record<string, unknown> = { ask }
  for (const [name, field] of Object.entries(fieldsByQuestion[ask as Query['ask']])) {
    const value = raw[name] ?? undefined
    if (value === undefined && field.isOptional === true) continue
    if (!field.holds(value)) {
      const message = `"${name}" of the question "${ask}" is ${JSON.stringify(value)}, but must be ${field.expected}`
      throw new CommanderError('invalid_input', message)
    }
    query[name] = value
  }
  return query as Query
}
