import { assert } from '../kernel/assert.ts'
import { type Lsn, lsn, token } from '../kernel/identifiers.ts'
import { limits } from '../kernel/limits.ts'
import type { DecidedEvent } from '../sdk/aggregate-types.ts'
import type { Activation } from '../state/activations.ts'
import type { RootState } from '../state/root.ts'
import { isArchivedElsewhere } from '../tables/archived-streams.ts'
import { advance } from '../workflows/advance.ts'
import { WorkflowExecution } from '../workflows/execution.ts'
import type { Failure } from '../workflows/failure.ts'
import type { Isolation } from '../workflows/isolation.ts'
import type { EventOfType, WorkflowEvent } from '../workflows/workflow-events.ts'
import { workflowNameOf } from '../workflows/workflow-names.ts'
import { AdriftWorkflows } from './adrift-workflows.ts'
import { type Completing, completingOf } from './completing.ts'
import type { LiveAggregate, Work } from './live-aggregates.ts'
import { asWorkflowEvent, emptyLiveWorkflow, isWrittenAnyway, nextEvent } from './live-workflow.ts'
import { RequestDesk, type RequestDeskOptions } from './request-desk.ts'
import { RunningRequests } from './running-requests.ts'
import type { StartedRequest, WorkflowDrafts } from './workflow-drafts.ts'
import type { WorkflowHistory } from './workflow-history.ts'
import { liveOf, record, stateOf } from './workflow-records.ts'
import type { WorkflowVersions } from './workflow-versions.ts'

/** Steps taken before the event loop is given back. */
const stepsPerTurn = 512

export interface WorkflowRunnerOptions extends Pick<RequestDeskOptions, 'environment' | 'failed' | 'keyPrefix'> {
  readonly state: RootState
  readonly instance: string
  readonly versions: WorkflowVersions
  readonly history: WorkflowHistory
  readonly isolation: Isolation
  readonly drafts: WorkflowDrafts
  /** Whether the journal writer takes drafts now; `turn` is called when it does again. */
  readonly canSend: () => boolean
  readonly send: () => void
  /** The aggregate is to be restored from the store before it goes on. */
  readonly reload: (aggregate: LiveAggregate) => void
  /** Restores what is to be, as far as the store is. */
  readonly restore: () => void
}

/**
 * Runs the code of workflows: feeds it with history, drafts what it does as steps, and carries out its requests.
 *
 * I1. Events reach the code in the order in which they are in the stream; so running it again takes the same way.
 * I2. Code runs here only under an assignment of this process; when a draft is refused or lost, the code and everything
 *     that it did since is dropped, and runs again from the store.
 */
export class WorkflowRunner {
  readonly #o: WorkflowRunnerOptions
  /** Have something to be fed with, or something to be drafted. */
  readonly #due = new Set<LiveAggregate>()
  /** Have nothing to do, and their code in memory still: the oldest first. */
  readonly #idle = new Set<LiveAggregate>()
  /** Worked on here. */
  readonly #active = new Set<LiveAggregate>()
  readonly requests: RequestDesk
  readonly #adrift: AdriftWorkflows
  #isScheduled = false

  constructor(options: WorkflowRunnerOptions) {
    this.#o = options
    this.#adrift = new AdriftWorkflows(options.environment.log)
    this.requests = new RequestDesk({
      ...options,
      gotOn: (aggregate) => this.#isDue(aggregate),
      ended: (aggregate) => {
        this.#end(aggregate)
        options.send()
      },
    })
  }

  /** Workflows that have something to do here. */
  get active(): number {
    return this.#active.size
  }

  attach(aggregate: LiveAggregate): void {
    const { environment, isolation } = this.#o
    aggregate.workflow = emptyLiveWorkflow(new RunningRequests(environment, isolation))
  }

  /** It was restored from the store. */
  loaded(aggregate: LiveAggregate): void {
    this.abandon(aggregate)
    const live = liveOf(aggregate)
    live.loadedRevision = aggregate.revision
    const activation = this.#o.state.activations.byKey.get(aggregate.key)
    if (activation === undefined) return
    live.activation = activation.lsn
    if (activation.token !== 0 && activation.instance === this.#o.instance) this.resumed(aggregate, activation)
  }

  /** It was assigned to this process, or anew. */
  resumed(aggregate: LiveAggregate, activation: Activation): void {
    const live = liveOf(aggregate)
    live.activation = activation.lsn
    live.token = activation.token
    this.#active.add(aggregate)
    if (aggregate.readiness !== 'cold' || live.loadedRevision === aggregate.revision) this.#begin(aggregate, [])
  }

  /** A command on it is about to be drafted: what its code did before comes first. */
  flush(aggregate: LiveAggregate): void {
    if (liveOf(aggregate).outbox.length > 0) this.#draft(aggregate, [], false)
  }

  /** A command decided on these events: what the entry says of the workflow beside them. */
  completing(
    aggregate: LiveAggregate,
    events: readonly DecidedEvent[],
    { command, token: assignment }: Work,
  ): Completing {
    const live = liveOf(aggregate)
    const completing = completingOf(aggregate, events)
    const { activates, releases } = completing.effects
    if (activates === true) {
      live.activation = command.lsn
      live.token = token(assignment)
      this.#active.add(aggregate)
    }
    if (releases === true) this.abandon(aggregate)
    live.decided = events.map(asWorkflowEvent)
    return completing
  }

  /** The command was drafted, and the aggregate is ready for the next one: its code is told what was decided. */
  decided(aggregate: LiveAggregate): void {
    const live = liveOf(aggregate)
    const { decided } = live
    live.decided = []
    if (live.token === 0 || decided.length === 0) return
    const isBegun = live.execution !== null || live.replay !== null || live.queue.length > 0
    if (!isBegun) this.#begin(aggregate, decided)
    else {
      live.queue.push(...decided)
      this.#isDue(aggregate)
    }
  }

  /** The entry of a step came back. @returns its aggregate */
  confirmed(sequence: number, at: Lsn): LiveAggregate | undefined {
    const step = this.#o.drafts.confirm(sequence)
    if (step === undefined) return undefined
    step.aggregate.lastLsn = at
    this.requests.written(step, at)
    return step.aggregate
  }

  /** Drafts were refused or lost (I2). @returns the aggregates to be restored */
  drop(sequence: number | null): Set<LiveAggregate> {
    return this.#o.drafts.drop(sequence)
  }

  /** Its code and all that it did since the store leave memory. */
  abandon(aggregate: LiveAggregate): void {
    const live = liveOf(aggregate)
    live.requests.abortAll('the workflow goes on elsewhere, or later')
    live.activation = lsn(0)
    live.token = token(0)
    live.execution = null
    live.replay = null
    live.queue = []
    live.outbox = []
    this.#active.delete(aggregate)
    this.#due.delete(aggregate)
    this.#idle.delete(aggregate)
  }

  abandonAll(): void {
    for (const aggregate of [...this.#active, ...this.#idle]) this.abandon(aggregate)
    this.#o.drafts.clear()
    this.requests.clear()
  }

  /** A step further with all that have something to do, as far as the journal writer takes it. */
  turn(): void {
    if (this.#due.size === 0 || !this.#o.canSend()) return
    let steps = 0
    for (const aggregate of [...this.#due]) {
      if (++steps > stepsPerTurn || !this.#o.canSend()) break
      this.#due.delete(aggregate)
      if (this.#step(aggregate)) this.#due.add(aggregate)
    }
    this.#o.send()
    if (this.#due.size > 0) this.#turnSoon()
  }

  #isDue(aggregate: LiveAggregate): void {
    this.#idle.delete(aggregate)
    this.#due.add(aggregate)
    this.#turnSoon()
  }

  #turnSoon(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#o.environment.scheduler.soon(() => {
      this.#isScheduled = false
      this.turn()
    })
  }

  #begin(aggregate: LiveAggregate, events: readonly WorkflowEvent[]): void {
    const live = liveOf(aggregate)
    if (aggregate.revision - events.length !== live.loadedRevision) {
      // What happened since is nowhere but in the state: its history is read once the store has it.
      this.abandon(aggregate)
      this.#reload(aggregate)
      return
    }
    live.execution = null
    const { runRevision } = stateOf(aggregate)
    live.replay = { from: runRevision, to: live.loadedRevision, page: [], next: 0 }
    if (runRevision > live.loadedRevision) live.replay = null
    live.queue = [...events]
    live.mustLook = true
    this.#isDue(aggregate)
  }

  #reload(aggregate: LiveAggregate): void {
    this.#o.reload(aggregate)
    this.#o.environment.scheduler.soon(this.#o.restore)
  }

  /** Feeds the code with one event, or takes what it has come to. @returns whether it goes on in the next turn */
  #step(aggregate: LiveAggregate): boolean {
    const live = liveOf(aggregate)
    if (live.token === 0) return false
    let event: WorkflowEvent | null
    try {
      event = nextEvent(live, (from, to) => this.#o.history.page(aggregate.key, from, to))
    } catch (error) {
      if (!isArchivedElsewhere(error)) throw error
      this.abandon(aggregate)
      aggregate.readiness = 'cold' // or a command would give it something to do a second time
      this.#o.history.bringBack(error, aggregate.key, () => this.#reload(aggregate))
      return false
    }
    if (event === null) {
      this.#settle(aggregate)
      return false
    }
    return this.#feed(aggregate, event)
  }

  #feed(aggregate: LiveAggregate, event: WorkflowEvent): boolean {
    const live = liveOf(aggregate)
    if (event.type === 'workflow/started' || event.type === 'workflow/continued') return this.#run(aggregate, event)
    const { execution } = live
    assert(execution !== null, `the history of ${aggregate.key} begins with a start, not with ${event.type}`)
    if (live.replay === null) execution.isLive = true
    execution.feed(event)
    if (event.type === 'timer/fired') live.mustLook = true
    if (event.type === 'workflow/cancel-requested' || event.type === 'timer/fired')
      live.requests.abortAll('the workflow was cancelled, or its time was over', (one) => execution.isOpen(one))
    return true
  }

  /** @returns false when this process does not have the version that the workflow is of */
  #run(aggregate: LiveAggregate, event: EventOfType<'workflow/started' | 'workflow/continued'>): boolean {
    const live = liveOf(aggregate)
    const { run, patches } = stateOf(aggregate)
    const { input, version, atMs } = event.data
    const workflow = this.#o.versions.find(workflowNameOf(aggregate.type), version)
    if (workflow === undefined) {
      this.#park(aggregate, this.#o.versions.missing(workflowNameOf(aggregate.type), version))
      return false
    }
    const isReplayed = live.replay !== null
    const start = { key: aggregate.key, id: aggregate.id, run, input, version, atMs, patches, isReplayed }
    const execution = new WorkflowExecution(workflow, start, this.#o.isolation)
    live.execution = execution
    execution.wentOn = () => this.#wentOn(aggregate, execution)
    execution.begin()
    return true
  }

  /** Mostly it was fed and is due anyhow; but it may have awaited something that is not recorded. */
  #wentOn(aggregate: LiveAggregate, execution: WorkflowExecution): void {
    if (this.#due.has(aggregate) || liveOf(aggregate).execution !== execution) return
    // Without an assignment nothing can be recorded: it goes on when it is given something to do the next time.
    const isIdle = liveOf(aggregate).token === 0
    this.#o.isolation.run(null, () => (isIdle ? this.#adrift.name(aggregate) : this.#isDue(aggregate)))
  }

  /** The code waits, or has ended: what it did since becomes history. */
  #settle(aggregate: LiveAggregate): void {
    const live = liveOf(aggregate)
    const { execution } = live
    if (execution === null) return
    execution.isLive = true
    // The history's time never falls: a clock that was put back makes no timer wait for it to catch up.
    const atMs = Math.max(this.#o.environment.clock.wallMs(), execution.nowMs)
    const newest = this.#o.versions.newestOf(execution.workflow)
    const step = advance(execution, stateOf(aggregate), atMs, newest, isWrittenAnyway(live, execution))
    const { changes, requests, dropped } = step
    const failure = this.#o.drafts.tooLarge(changes)
    if (failure !== null) return this.#park(aggregate, failure)
    for (const change of changes) record(aggregate, change)
    if (dropped.length > 0) this.#adrift.dropped(aggregate, dropped)
    const started: StartedRequest[] = requests.map((operation) => ({ operation, attempt: 1 }))
    const { outcome } = execution
    if (outcome === null) {
      for (const { operation } of started) live.requests.reserve(operation.id)
      if (live.mustLook) started.push(...this.requests.beginAgain(aggregate, execution, atMs))
      // One that is adrift goes on by itself, and not by an event: it stays here until it does.
      const { isAdrift } = execution
      this.#draft(aggregate, started, live.requests.size === 0 && !isAdrift)
      if (isAdrift) this.#adrift.name(aggregate)
    } else if (outcome.kind === 'continued') {
      const first = changes.findIndex(({ event }) => event.type === 'workflow/continued')
      assert(first >= 0, 'a run that goes on in another one says so')
      live.requests.abortAll('the run is over')
      this.#draft(aggregate, [], false)
      live.queue.push(...changes.slice(first).map(({ event }) => event))
      this.#isDue(aggregate)
    } else this.#end(aggregate)
  }

  #end(aggregate: LiveAggregate): void {
    this.#draft(aggregate, [], true)
    this.abandon(aggregate)
  }

  #park(aggregate: LiveAggregate, error: Failure): void {
    const data = { error, operation: null, atMs: this.#o.environment.clock.wallMs() }
    record(aggregate, { event: { type: 'workflow/parked', data } })
    this.#end(aggregate)
  }

  #draft(aggregate: LiveAggregate, requests: readonly StartedRequest[], releases: boolean): void {
    const live = liveOf(aggregate)
    const { activation, outbox } = live
    if (outbox.length === 0 && !releases) return
    live.outbox = []
    this.#o.drafts.add(aggregate, outbox, { activation, token: live.token, releases }, requests)
    if (releases) this.#released(aggregate)
  }

  /** It has nothing to do. Its code stays in memory for a while. */
  #released(aggregate: LiveAggregate): void {
    const live = liveOf(aggregate)
    live.activation = lsn(0)
    live.token = token(0)
    this.#active.delete(aggregate)
    this.#idle.add(aggregate)
    const [oldest] = this.#idle
    if (this.#idle.size > limits.idleExecutionsMax && oldest !== undefined) this.abandon(oldest)
  }
}
