import { CommanderError } from '../kernel/errors.ts'
import type { AnyWorkflow } from '../sdk/workflow-types.ts'
import { WorkflowExecution } from '../workflows/execution.ts'
import { noIsolation } from '../workflows/isolation.ts'
import { NonDeterminismError } from '../workflows/non-determinism.ts'
import type { RunOutcome } from '../workflows/run-outcome.ts'
import type { EventOfType, WorkflowEvent, WorkflowEventType } from '../workflows/workflow-events.ts'
import { workflowType } from '../workflows/workflow-names.ts'
import { turn } from './turn-adapter.ts'

/** An event of a recorded history: as `db.stream` gives it, or a line of `commanderdb stream read --json`. */
export interface RecordedEvent {
  readonly type: string
  readonly data?: unknown
  readonly aggregate?: { readonly type: string; readonly id: string }
}

/** To where the code has come with the history. */
export interface Replayed {
  /** How the code of the last run ended; null: it has not. */
  readonly outcome: RunOutcome | null
  /** What it waits for, by the names in the history. */
  readonly waiting: readonly string[]
  /** Runs that it went through, by `continueAsNew`. */
  readonly runs: number
}

type Start = EventOfType<'workflow/started' | 'workflow/continued'>

/**
 * Runs the code of a workflow along a recorded history, without carrying anything out: a test that a workflow under way
 * in production goes on with changed code. Keep histories as files, one for each way that the code may take.
 *
 * @param history events, or what `commanderdb stream read workflow:NAME/ID --json` printed, from the first event on
 * @throws NonDeterminismError with `expected` and `actual`, when the code does not match
 * @throws CommanderError `invalid_input` when this is no history of the workflow
 * @example
 * await replay(readFileSync('histories/order-17.jsonl', 'utf8'), order)
 */
export async function replay(history: string | readonly RecordedEvent[], workflow: AnyWorkflow): Promise<Replayed> {
  const events = typeof history === 'string' ? parse(history) : history
  const runs = runsOf(events, workflow)
  const key = keyOf(events, workflow)
  let replayed: Replayed = { outcome: null, waiting: [], runs: 0 }
  for (const [i, run] of runs.entries()) replayed = await replayRun(workflow, key, i + 1, run)
  return replayed
}

async function replayRun(
  workflow: AnyWorkflow,
  key: string,
  run: number,
  events: readonly WorkflowEvent[],
): Promise<Replayed> {
  const [first, ...rest] = events as [Start, ...WorkflowEvent[]]
  const { input, version, atMs } = first.data
  const patches = rest.flatMap((event) => (event.type === 'patch/noted' ? [event.data.id] : []))
  const id = key.slice(key.indexOf('/') + 1)
  const isReplayed = rest.length > 0
  const execution = new WorkflowExecution(
    workflow,
    { key, id, run, input, version, atMs, patches, isReplayed },
    noIsolation,
  )
  execution.begin()
  await turn()
  for (const event of rest) {
    if (event === rest.at(-1)) execution.isLive = true
    execution.feed(event)
    await turn()
    if (execution.mismatch !== null) throw execution.mismatch
  }
  assertSameEnd(rest.at(-1), execution)
  return { outcome: execution.outcome, waiting: execution.waiting.map(({ id: name }) => name), runs: run }
}

/** A run that has ended must end with this code too; one that was cancelled by force was not asked. */
function assertSameEnd(last: WorkflowEvent | undefined, execution: WorkflowExecution): void {
  const expected = last === undefined ? undefined : endings[last.type]
  const { outcome } = execution
  if (last === undefined || expected === undefined || expected === outcome?.kind) return
  if (expected === 'cancelled' && outcome === null) return
  throw new NonDeterminismError(last.type, execution.waiting, outcome)
}

const endings: { readonly [Type in WorkflowEventType]?: RunOutcome['kind'] } = {
  'workflow/completed': 'completed',
  'workflow/failed': 'failed',
  'workflow/cancelled': 'cancelled',
  'workflow/continued': 'continued',
}

/** The event by which a run goes on in the next one ends the former, and begins the latter. */
function runsOf(events: readonly RecordedEvent[], { name, version }: AnyWorkflow): WorkflowEvent[][] {
  const runs: WorkflowEvent[][] = []
  for (const event of events as readonly WorkflowEvent[]) {
    const isStart = event.type === 'workflow/started' || event.type === 'workflow/continued'
    if (!isStart && runs.length === 0)
      throw invalid(`it begins with ${event.type}; give the whole history, from workflow/started on`)
    runs.at(-1)?.push(event)
    if (!isStart) continue
    if (event.data.version !== version)
      throw invalid(
        `it is of version ${event.data.version} of "${name}", and the workflow is version ${version}: ` +
          `workflows stay on the version that they were started with, so replay it against that one`,
      )
    runs.push([event])
  }
  if (runs.length === 0) throw invalid('it is empty')
  return runs
}

/** Random numbers follow from it. */
function keyOf([first]: readonly RecordedEvent[], { name }: AnyWorkflow): string {
  const { type, id } = first?.aggregate ?? { type: workflowType(name), id: 'replayed' }
  if (type === workflowType(name)) return `${type}/${id}`
  throw invalid(`it is of ${type}/${id}, and not of a workflow "${name}"`)
}

function parse(text: string): readonly RecordedEvent[] {
  try {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line) as RecordedEvent)
  } catch (error) {
    throw invalid(`it is no list of JSON lines: ${(error as Error).message}`)
  }
}

const invalid = (what: string): CommanderError =>
  new CommanderError('invalid_input', `the history cannot be replayed: ${what}`)
