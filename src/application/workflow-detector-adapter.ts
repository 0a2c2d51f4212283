import { AsyncLocalStorage } from 'node:async_hooks'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import type { Application } from '../sdk/application.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { RunStart } from '../workflows/run-start.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'

/** What a workflow did that it cannot do again in the same way. */
export interface Finding {
  /** The workflow's name and id. */
  readonly workflow: string
  /** What was called: `Date.now`. */
  readonly call: string
  /** Where, in the user's code: `at run (file:///shop/order.ts:12:20)`. */
  readonly place: string
  readonly message: string
}

/** Tells of it while it is open. */
export interface WorkflowDetector extends Isolation {
  close(): void
}

/** Nobody wants to be told of more places than this. */
const placesMax = 1_000

interface Running {
  readonly start: RunStart
  readonly detector: Detector
}

/** One for the process: who calls what is replaced below asks it which workflow is running. */
const running = new AsyncLocalStorage<Running | null>()
const open = new Set<Detector>()

/**
 * Replaces the clock, randomness and timers of the whole process by ones that name whoever calls them from the code of a
 * workflow, once for a workflow and place. They do what they did; for all other code, effects included, nothing changes.
 */
export function createWorkflowDetector(report: (finding: Finding) => void): WorkflowDetector {
  return new Detector(report)
}

/** The same where it is wanted: everywhere but in production, and only for workflows. */
export function detectorInDevelopment(
  applications: readonly Application[],
  report: (finding: Finding) => void,
): WorkflowDetector | null {
  const isWanted =
    process.env['NODE_ENV'] !== 'production' && applications.some(({ workflows }) => workflows.length > 0)
  return isWanted ? createWorkflowDetector(report) : null
}

class Detector implements WorkflowDetector {
  readonly #report: (finding: Finding) => void
  readonly #known = new Set<string>()

  constructor(report: (finding: Finding) => void) {
    this.#report = report
    if (open.size === 0) replaceAll()
    open.add(this)
  }

  run<Result>(start: RunStart | null, code: () => Result): Result {
    return running.run(start === null ? null : { start, detector: this }, code)
  }

  close(): void {
    if (open.delete(this) && open.size === 0) restoreAll()
  }

  found({ key }: RunStart, call: string, instead: string, place: string): void {
    const name = workflowNameOf(key)
    const known = `${name.slice(0, name.indexOf('/'))} ${call} ${place}`
    if (!open.has(this) || this.#known.has(known) || this.#known.size >= placesMax) return
    this.#known.add(known)
    const message =
      `workflow ${name} calls ${call} ${place}: when it runs again from its history, it comes to something else there; ` +
      `use ${instead} instead`
    // Whoever is told is no code of the workflow: a log looks at the clock.
    running.run(null, () => this.#report({ workflow: name, call, place, message }))
  }
}

/** Called by what is replaced. @param replacement where the stack begins */
function note(call: string, instead: string, replacement: object): void {
  const store = running.getStore()
  if (store === undefined || store === null) return
  store.detector.found(store.start, call, instead, placeOf(replacement as () => void))
}

function placeOf(replacement: () => void): string {
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, replacement)
  const lines = (holder.stack ?? '').split('\n').map((line) => line.trim())
  const places = lines.filter((line) => line.startsWith('at ') && !/\((node:|<anonymous>)|^at node:/.test(line))
  return places.find((line) => !line.includes('/node_modules/')) ?? places[0] ?? 'at an unknown place'
}

// ---- what is replaced

type AnyFunction = (...args: never[]) => unknown

interface Replacement {
  readonly holder: Record<string, unknown>
  readonly name: string
  readonly original: unknown
  readonly replaced: unknown
}

let replacements: Replacement[] = []

function replaceAll(): void {
  const timer = 'context.sleep, or context.request for what must happen outside,'
  const globals = globalThis as unknown as Record<string, unknown>
  const date = Date as unknown as Record<string, unknown>
  replaceFunction(date, 'now', 'Date.now', 'context.now()')
  replaceDate(globals)
  replaceFunction(Math as unknown as Record<string, unknown>, 'random', 'Math.random', 'context.random()')
  for (const holder of [crypto, globalThis.crypto] as unknown as Record<string, unknown>[])
    replaceFunction(holder, 'randomUUID', 'crypto.randomUUID', 'context.uuid()')
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) replaceFunction(globals, name, name, timer)
  // It looks at the clock itself.
  const outside = (make: () => unknown): unknown => running.run(null, make)
  replaceFunction(globals, 'fetch', 'fetch', 'context.request', outside)
  syncBuiltinESMExports()
}

function replaceFunction(
  holder: Record<string, unknown>,
  name: string,
  call: string,
  instead: string,
  around: (make: () => unknown) => unknown = (make) => make(),
): void {
  const original = holder[name] as AnyFunction
  const replaced = function (this: unknown, ...args: never[]): unknown {
    note(call, instead, replaced)
    return around(() => Reflect.apply(original, this, args) as unknown)
  }
  // Among them what `util.promisify` looks for.
  Object.defineProperties(replaced, Object.getOwnPropertyDescriptors(original))
  replace(holder, name, replaced)
}

function replaceDate(globals: Record<string, unknown>): void {
  const construct: NonNullable<ProxyHandler<DateConstructor>['construct']> = (target, args, newTarget) => {
    if (args.length === 0) note('new Date()', 'new Date(context.now())', construct)
    return Reflect.construct(target, args, newTarget === replaced ? target : newTarget) as object
  }
  const replaced: object = new Proxy(Date, { construct })
  replace(globals, 'Date', replaced)
}

function replace(holder: Record<string, unknown>, name: string, replaced: unknown): void {
  replacements.push({ holder, name, original: holder[name], replaced })
  holder[name] = replaced
}

/** What somebody else has replaced since stays as it is. */
function restoreAll(): void {
  for (const { holder, name, original, replaced } of replacements)
    if (holder[name] === replaced) holder[name] = original
  replacements = []
  syncBuiltinESMExports()
}
