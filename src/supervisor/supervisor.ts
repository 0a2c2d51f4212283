import type { ArchiveStatus } from '../archive/archive-target.ts'
import type { Transport } from '../ipc/channel.ts'
import { type Leadership, leadsAlone } from '../ipc/leadership.ts'
import type { Environment, Log } from '../kernel/environment.ts'
import { CommanderError, messageOf, type WireError } from '../kernel/errors.ts'
import type { Orchestrator } from '../replication/orchestrator.ts'
import type { AttestationReport, ChildReport, JournalUse, JournalWatermarks, ParkedCounts } from './child-report.ts'
import type { ChildSpecification } from './child-specification.ts'
import { controlAddressOf, type DatabaseStatus, type ProcessStatus } from './control-protocol.ts'
import { type ControlTarget, serveControl } from './control-server.ts'
import type { DynamicChildren } from './host-orchestrator.ts'
import { JournalHistory } from './journal-history.ts'
import type { Spawner } from './spawner.ts'
import type { SupervisedChild } from './supervised-child.ts'
import { Supervision, type SupervisionOutcome } from './supervision.ts'

export interface SupervisorOptions {
  readonly environment: Environment
  readonly transport: Transport
  readonly spawner: Spawner
  /** Absolute path. */
  readonly dataDir: string
  readonly pid: number
  readonly specifications: readonly ChildSpecification[]
  /** The supervisor's own measurements. */
  readonly measure: () => { readonly eventLoopLagMs: number; readonly rssBytes: number }
  /** Once, when commands are accepted for the first time. */
  readonly ready: (status: DatabaseStatus) => void
  /** Called once, when the children are being started: whoever starts journal servers on this host as well. What it throws ends everything. */
  readonly orchestrate?: (children: DynamicChildren, log: Log) => Promise<Orchestrator>
}

/** Supervision and its control socket: what `commanderdb start` runs. */
export class Supervisor implements ControlTarget {
  readonly #options: SupervisorOptions
  readonly #supervision: Supervision
  readonly #ended: Promise<SupervisionOutcome>
  /** The last known ones: a restart of the journal writer takes nothing back. */
  #lsn: JournalWatermarks = { written: 0, flushed: 0, checkpoint: 0 }
  #archive: ArchiveStatus | null = null
  #storeTrouble: WireError | null = null
  #journal: JournalUse | null = null
  #parked: ParkedCounts | null = null
  #attestation: AttestationReport | null = null
  #leadership: Leadership = leadsAlone
  readonly #history = new JournalHistory()
  #orchestrator: Promise<Orchestrator> | undefined

  /** @throws CommanderError `invalid_config` if the specifications contradict each other. */
  constructor(options: SupervisorOptions) {
    this.#options = options
    const { environment, spawner, specifications } = options
    const { promise, resolve } = Promise.withResolvers<SupervisionOutcome>()
    this.#ended = promise
    const events = { ready: () => options.ready(this.status()), ended: resolve }
    this.#supervision = new Supervision({ environment, spawner, specifications, events })
  }

  /** Resolves when every child has ended and the control socket is closed. */
  async run(): Promise<SupervisionOutcome> {
    const { transport, dataDir, environment } = this.#options
    const listener = await serveControl({
      transport,
      address: controlAddressOf(dataDir),
      target: this,
      log: environment.log,
    })
    this.#supervision.start(() => this.#orchestrate())
    const outcome = await this.#ended
    await listener.close()
    return outcome
  }

  /** What it adds is waited for before the host is ready. */
  async #orchestrate(): Promise<void> {
    const { orchestrate, environment } = this.#options
    if (orchestrate === undefined) return
    this.#orchestrator = orchestrate(this.#supervision, environment.log)
    try {
      await this.#orchestrator
    } catch (cause) {
      const message = `the journal servers of this host cannot be started: ${messageOf(cause)}`
      this.#supervision.fail(new CommanderError('process_failed', message, { cause, retryable: false }))
    }
  }

  /** Drains and stops, in order; `run` then resolves. Idempotent. */
  stop(): void {
    this.#supervision.stop()
  }

  get orchestrator(): Promise<Orchestrator> | undefined {
    return this.#orchestrator
  }

  /** Ends everything at once. */
  kill(): void {
    this.#supervision.kill()
  }

  report(report: ChildReport): boolean {
    if (!this.#supervision.report(report)) return false
    this.#archive = report.archive ?? this.#archive
    if (report.storeTrouble !== undefined) this.#storeTrouble = report.storeTrouble
    this.#journal = report.journal ?? this.#journal
    this.#parked = report.parked ?? this.#parked
    this.#attestation = report.attestation ?? this.#attestation
    this.#leadership = report.leadership ?? this.#leadership
    if (report.lsn === undefined) return true
    this.#lsn = report.lsn
    const nowMs = this.#options.environment.clock.monotonicMs()
    this.#history.note(nowMs, report.lsn.written, report.writtenBytes ?? 0)
    return true
  }

  status(): DatabaseStatus {
    const children = this.#supervision.children
    const reports = children.map((child) => child.report)
    return {
      ready: this.#supervision.ready,
      ...(children.some(isOfDatabase) ? roleOf(this.#leadership) : { role: 'none', replication: null }),
      dataDir: this.#options.dataDir,
      url: reports.find((report) => report?.url !== undefined)?.url ?? null,
      lsn: this.#lsn,
      archive: this.#archive,
      journal: this.#journal,
      parked: this.#parked,
      storeTrouble: this.#storeTrouble,
      degraded: children.some((child) => this.#isDegraded(child)) || this.#isStoreBad || this.#isAtOddsWithNode,
      attestation: this.#attestation,
      processes: [this.#ownStatus(), ...children.map((child) => this.#statusOf(child))],
    }
  }

  #ownStatus(): ProcessStatus {
    const { pid, measure } = this.#options
    const own = { name: 'supervisor', role: 'supervisor', pid, state: this.#supervision.state, restarts: 0 }
    return { ...own, ...measure(), appliedLsn: null, lag: null, attested: null, degraded: false, metrics: [] }
  }

  get #isStoreBad(): boolean {
    return this.#storeTrouble !== null || this.#attestation?.storeIsSuspect === true
  }

  get #isAtOddsWithNode(): boolean {
    return this.#attestation?.nodes.some(({ difference }) => difference !== null) === true
  }

  #isDegraded(child: SupervisedChild): boolean {
    return child.degraded || this.#attestation?.quarantined.includes(child.name) === true
  }

  #statusOf(child: SupervisedChild): ProcessStatus {
    const { state, pid } = child
    // The measurements of a process that has ended are nobody's.
    const report = pid === undefined ? undefined : child.report
    const appliedLsn = report?.appliedLsn ?? null
    const nowMs = this.#options.environment.clock.monotonicMs()
    return {
      name: child.name,
      role: child.specification.role,
      pid: pid ?? null,
      state,
      restarts: child.restarts,
      rssBytes: report?.rssBytes ?? null,
      eventLoopLagMs: report?.eventLoopLagMs ?? null,
      appliedLsn,
      lag: appliedLsn === null ? null : this.#history.lagOf(appliedLsn, nowMs),
      attested: report?.attested ?? null,
      degraded: this.#isDegraded(child),
      metrics: report?.metrics ?? [],
    }
  }
}

/** The other processes serve the databases of other supervisors as well. */
const isOfDatabase = ({ specification: { role } }: SupervisedChild): boolean =>
  role !== 'journal-server' && role !== 'journal-master'

const roleOf = ({ leads, epoch, leader }: Leadership): Pick<DatabaseStatus, 'role' | 'replication'> => ({
  role: leads ? 'leader' : 'follower',
  replication: leads && epoch === 0 ? null : { epoch, leader },
})
