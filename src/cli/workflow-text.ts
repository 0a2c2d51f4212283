import type { WorkflowRequestView, WorkflowSummary, WorkflowView } from '../client/options.ts'
import { oneLine } from './failure-text.ts'
import { type Cell, list, table } from './table.ts'

type Failure = NonNullable<WorkflowView['error']>

/** All that is known of a workflow, for people. */
export function workflowText(view: WorkflowView): string {
  const { name, id, status, version, run, startedAt, endedAt, result, error, progress, requests, waitingFor } = view
  const facts: (readonly [string, Cell])[] = [
    ['workflow', `${name}/${id}`],
    ['status', status],
    ['version', run === 1 ? version : `${version}, run ${run}`],
    ['started', startedAt],
    ['ended', endedAt],
  ]
  if (status === 'completed') facts.push(['result', JSON.stringify(result)])
  if (error !== null) facts.push(...errorFacts(error))
  const cancelling = cancellationText(view)
  if (cancelling !== null) facts.push(['cancelling', cancelling])
  if (progress !== null) facts.push(['progress', JSON.stringify(progress)])
  return list(facts) + requestsTable(view.requestCounts.total, requests) + waitingTable(waitingFor)
}

/** In one cell; the view of the workflow tells all. */
export function waitingText({ waitingFor = [] }: WorkflowSummary): string | null {
  const [first, ...others] = waitingFor
  if (first === undefined) return null
  const due = first.dueAt === null ? '' : ` until ${first.dueAt}`
  const more = others.length === 0 ? '' : `, and ${others.length} more`
  const because = first.because === undefined ? '' : `, but ${first.because}`
  const signal = first.kind === 'signal' ? `signal ${signalOf(first)}` : null
  return `${first.child ?? signal ?? first.operation}${due}${because}${more}`
}

function errorFacts({ code, message, causes = [], places = [], notCompensated = [] }: Failure): [string, Cell][] {
  const place = placeOf(places)
  return [
    ['error', oneLine(`${code}: ${message}`)],
    ...causes.map((cause): [string, Cell] => ['caused by', oneLine(cause)]),
    ...(place === null ? [] : [['at', place] satisfies [string, Cell]]),
    ...notCompensated.map((one): [string, Cell] => ['not undone', oneLine(one)]),
  ]
}

/** Where it was thrown, in the user's code: file, line and column. */
function placeOf(places: readonly string[]): string | null {
  const own = places.find((place) => !/node:|\/node_modules\//.test(place)) ?? places[0]
  return own === undefined ? null : own.replace(/^at /, '').replace('file://', '')
}

/** Of one that has not ended: how it comes to its end. */
function cancellationText({ name, id, status, isCancelled, endedAt }: WorkflowView): string | null {
  if (!isCancelled || endedAt !== null) return null
  if (status !== 'parked') return 'it was told to end, and undoes what it did'
  return (
    'it was told to end, and is parked: mend the cause and have it go on by ' +
    `workflow retry ${name}/${id}, or end it as it is by workflow cancel ${name}/${id} --force`
  )
}

function requestsTable(total: number, requests: WorkflowView['requests']): string {
  if (total === 0) return ''
  const rows = requests.map((one) => [
    nameOf(one),
    one.attempt,
    one.status,
    one.startedAt,
    one.endedAt ?? one.retryAt,
    one.error === null ? null : requestErrorText(one.error),
  ])
  const left = total > requests.length ? `${total - requests.length} earlier requests are left out\n` : ''
  return `\n${left}${table(['request', 'attempt', 'status', 'started', 'ended or again', 'error'], rows)}`
}

function requestErrorText({ code, message, causes = [], places = [] }: Failure): string {
  const place = placeOf(places)
  const why = [`${code}: ${message}`, ...causes].map(oneLine).join('; caused by ')
  return place === null ? why : `${why}, at ${place}`
}

/** What undoes a request has its name. */
const nameOf = ({ name, operation }: WorkflowRequestView): string =>
  operation.startsWith('compensation/') ? `undo ${name}` : name

/** By the name that whoever sends it gives it. */
const signalOf = ({ operation }: { readonly operation: string }): string =>
  operation.slice(operation.indexOf('/') + 1, operation.lastIndexOf('#'))

function waitingTable(waitingFor: WorkflowView['waitingFor']): string {
  if (waitingFor.length === 0) return ''
  const rows = waitingFor.map(({ kind, operation, since, dueAt, awakeable, child, because }) => [
    kind,
    awakeable ?? child ?? (kind === 'signal' ? signalOf({ operation }) : operation),
    since,
    dueAt,
    because ?? null,
  ])
  const isHeldUp = waitingFor.some(({ because }) => because !== undefined)
  const head = ['waits for', '', 'since', 'due', ...(isHeldUp ? ['but'] : [])]
  return `\n${table(head, isHeldUp ? rows : rows.map((row) => row.slice(0, -1)))}`
}
