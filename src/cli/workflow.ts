import type { Database, StartedWorkflowStatus, WorkflowSendOptions } from '../client/options.ts'
import { isNotEnded } from '../client/workflow-client.ts'
import { isCommanderError } from '../kernel/errors.ts'
import { pendingStartIn } from '../workflows/workflow-end.ts'
import { parseInteger, parseWorkflow, readJson } from './arguments.ts'
import { exitCodes } from './exit-code.ts'
import { queueingOf } from './queueing.ts'
import type { Flags } from './settings.ts'
import { table } from './table.ts'
import { timeoutOf, withDatabase } from './target.ts'
import type { Terminal } from './terminal.ts'
import { waitingText, workflowText } from './workflow-text.ts'

/** Starts a workflow, and with `--wait` waits for its end. */
export async function start(
  terminal: Terminal,
  workflow: string,
  json: string | undefined,
  flags: Flags,
): Promise<number> {
  const { name, id } = parseWorkflow(workflow)
  const input = (await readJson(terminal.input, 'the input', json)) ?? null
  const options = { ...sendOptionsOf(flags), ...queueingOf(flags) }
  return withDatabase(flags, async (db) => {
    if (flags['wait'] === true) {
      const run = (): Promise<unknown> =>
        db.workflow(name).execute(id, input, { ...options, timeoutMs: timeoutOf(flags) })
      return ended(terminal, db, name, id, flags, run)
    }
    const started = await db.workflow(name).start(id, input, options)
    const note = started.alreadyStarted ? ' (it was started before)' : ''
    const text = `${name}/${id} is ${started.status}${note}\n`
    await terminal.out(flags['json'] === true ? `${JSON.stringify({ name, ...started })}\n` : text)
    return exitCodes.done
  })
}

/** Prints all that is known of a workflow, with `--wait` when it has ended. */
export async function get(terminal: Terminal, workflow: string, flags: Flags): Promise<number> {
  const { name, id } = parseWorkflow(workflow)
  return withDatabase(flags, (db) =>
    flags['wait'] === true
      ? ended(terminal, db, name, id, flags, () => db.workflow(name).result(id, { timeoutMs: timeoutOf(flags) }))
      : print(terminal, db, name, id, flags),
  )
}

/** Lists the workflows of one name, or of all. */
export async function listWorkflows(terminal: Terminal, name: string | undefined, flags: Flags): Promise<number> {
  const { status, limit, after } = flags as {
    readonly status?: StartedWorkflowStatus
    readonly limit?: string
    readonly after?: string
  }
  const options = {
    ...(name === undefined ? {} : { name }),
    ...(status === undefined ? {} : { status }),
    ...(after === undefined ? {} : { after }),
    limit: limit === undefined ? limitDefault : parseInteger('--limit', limit, 1),
    waiting: true,
  }
  const found = await withDatabase(flags, (db) => db.workflows(options))
  const rows = found.map((one) => [
    name === undefined ? `${one.name}/${one.id}` : one.id,
    one.status,
    one.version,
    one.run,
    one.startedAt,
    one.endedAt,
    waitingText(one),
  ])
  const head = [name === undefined ? 'workflow' : 'id', 'status', 'version', 'run', 'started', 'ended', 'waits for']
  await terminal.out(flags['json'] === true ? `${JSON.stringify(found)}\n` : table(head, rows))
  return exitCodes.done
}

/** Sends a signal to a workflow. */
export async function signal(
  terminal: Terminal,
  workflow: string,
  signalName: string,
  json: string | undefined,
  flags: Flags,
): Promise<number> {
  const { name, id } = parseWorkflow(workflow)
  const data = (await readJson(terminal.input, 'the data', json)) ?? null
  const options = sendOptionsOf(flags)
  await withDatabase(flags, (db) => db.workflow(name).signal(id, signalName, data, options))
  return said(terminal, flags, { name, id, signal: signalName }, `${name}/${id} has the signal ${signalName}`)
}

/** Asks a workflow to undo what it did and end; with `--force` ends it at once. */
export async function cancel(terminal: Terminal, workflow: string, flags: Flags): Promise<number> {
  const { name, id } = parseWorkflow(workflow)
  const { reason, force = false } = flags as { readonly reason?: string; readonly force?: boolean }
  await withDatabase(flags, (db) => db.workflow(name).cancel(id, reason, { force }))
  const text = force ? `${name}/${id} is cancelled, and nothing was undone` : `${name}/${id} is told to end`
  return said(terminal, flags, { name, id, cancelled: true }, text)
}

/** Has a parked workflow go on. */
export async function retry(terminal: Terminal, workflow: string, flags: Flags): Promise<number> {
  const { name, id } = parseWorkflow(workflow)
  await withDatabase(flags, (db) => db.workflow(name).retry(id))
  return said(terminal, flags, { name, id, retried: true }, `${name}/${id} goes on`)
}

/** Answers a workflow that waits for a callback. */
export async function resolve(
  terminal: Terminal,
  awakeable: string,
  json: string | undefined,
  flags: Flags,
): Promise<number> {
  const value = (await readJson(terminal.input, 'the value', json)) ?? null
  await withDatabase(flags, (db) => db.resolveAwakeable(awakeable, value))
  return said(terminal, flags, { awakeable, resolved: true }, 'the workflow has its answer')
}

/** Answers a workflow that waits for a callback with an error. */
export async function reject(terminal: Terminal, awakeable: string, message: string, flags: Flags): Promise<number> {
  await withDatabase(flags, (db) => db.rejectAwakeable(awakeable, message))
  return said(terminal, flags, { awakeable, rejected: true }, 'the workflow has its answer')
}

const limitDefault = 100

function sendOptionsOf(flags: Flags): WorkflowSendOptions {
  const { idempotencyKey } = flags as { readonly idempotencyKey?: string }
  return idempotencyKey === undefined ? {} : { idempotencyKey }
}

async function said(terminal: Terminal, flags: Flags, forPrograms: object, forPeople: string): Promise<number> {
  await terminal.out(flags['json'] === true ? `${JSON.stringify(forPrograms)}\n` : `${forPeople}\n`)
  return exitCodes.done
}

/** Prints the workflow when it has ended. One that failed, was cancelled or parked has exit code 1. */
async function ended(
  terminal: Terminal,
  db: Database,
  name: string,
  id: string,
  flags: Flags,
  wait: () => Promise<unknown>,
): Promise<number> {
  try {
    await wait()
  } catch (error) {
    if (isNotEnded(error)) return notEnded(terminal, db, name, id, flags)
    if (!isCommanderError(error) || !endCodes.has(error.code)) throw error
    await print(terminal, db, name, id, flags)
    terminal.fail(error)
    return exitCodes.failed
  }
  return print(terminal, db, name, id, flags)
}

/** Prints how far it is by now. */
async function notEnded(terminal: Terminal, db: Database, name: string, id: string, flags: Flags): Promise<number> {
  try {
    await print(terminal, db, name, id, flags)
  } catch (error) {
    // Its start is put off, or waits its turn.
    if (pendingStartIn(error) === null) throw error
    await said(terminal, flags, { name, id, status: 'pending' }, `${name}/${id} is pending`)
  }
  const advice = `wait longer with --timeout, or look at it with workflow get ${name}/${id}`
  terminal.error(
    `commanderdb: workflow ${name}/${id} has not ended after ${timeoutOf(flags) / 1000} s, and goes on: ${advice}\n`,
  )
  return exitCodes.failed
}

const endCodes: ReadonlySet<string> = new Set(['workflow_failed', 'workflow_cancelled', 'workflow_parked'])

async function print(terminal: Terminal, db: Database, name: string, id: string, flags: Flags): Promise<number> {
  const view = await db.workflow(name).get(id)
  await terminal.out(flags['json'] === true ? `${JSON.stringify(view)}\n` : workflowText(view))
  return exitCodes.done
}
