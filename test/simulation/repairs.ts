import { newestTimeline } from '../../src/archive/sealed-segments.ts'
import { rememberedAsArchived } from '../../src/assembly/flushed-floor.ts'
import { acceptLoss, type Loss } from '../../src/backup/accept-loss.ts'
import { readGivingUp } from '../../src/journal/giving-up.ts'
import { isCommanderError } from '../../src/kernel/errors.ts'
import { readAppliedFrame } from '../../src/tables/applied-frame.ts'
import { readPosition, readRoot } from '../../src/tables/meta.ts'
import { simulatedJournalId } from '../../src/testing/simulated-host.ts'
import { ProcessKilled, type SimulatedProcess } from '../../src/testing/simulated-process.ts'
import type { Cluster } from './cluster.ts'
import type { MediaFaults } from './media-faults.ts'
import type { MediaWatch } from './media-watch.ts'

const lookAgainMs = 300
const archiveLookMs = 1_000
/** An interrupted operator begins anew after so long. */
const patienceMs = 2_000

/** What an operator does about a journal that is refused: puts back what was there, or gives up what is damaged. */
export class Repairs {
  readonly counts: Record<string, number> = {}
  readonly #cluster: Cluster
  readonly #watch: MediaWatch
  readonly #faults: MediaFaults
  readonly #violate: (what: string) => void
  #isBusy = false

  constructor(cluster: Cluster, watch: MediaWatch, faults: MediaFaults, violate: (what: string) => void) {
    this.#cluster = cluster
    this.#watch = watch
    this.#faults = faults
    this.#violate = violate
  }

  get isDone(): boolean {
    return !this.#isBusy && !this.#isDamaged
  }

  /** The journal writer did not open the journal. */
  refused(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#cluster.hold()
    this.#soon(() => this.#decide())
  }

  /** Somebody cannot read the journal while its writer is at work: a start shows what is the matter. */
  unreadable(): void {
    if (this.#isBusy) return
    this.#isBusy = true
    this.#soon(() => {
      this.#cluster.hold()
      this.#soon(() => this.#goOn())
    })
  }

  /** An archive that gets nothing more holds the journal: what it cannot get is put back. */
  watchArchive(): void {
    this.#cluster.host.time.after(archiveLookMs, () => this.watchArchive())
    if (this.#isBusy || this.#watch.isAccepting) return
    if (this.#cluster.archiver?.status().error?.code !== 'journal_corrupt') return
    this.#isBusy = true
    this.#cluster.hold()
    this.#soon(() => this.#putBack())
  }

  /** No more faults: nothing damaged is left in the end, and all of it is found before or put back. */
  finish(): void {
    this.#look()
  }

  #look(): void {
    this.#cluster.host.time.after(lookAgainMs, () => this.#look())
    if (this.#isBusy || !this.#isDamaged || this.#watch.isAccepting) return
    this.#isBusy = true
    this.#cluster.hold()
    const isFirst = this.counts['looked'] === undefined
    this.#count('looked')
    this.#soon(() => {
      if (isFirst && this.#cluster.host.random.chance(0.6)) {
        this.#faults.reread()
        this.#goOn()
      } else this.#putBack()
    })
  }

  get #isDamaged(): boolean {
    const { disk } = this.#cluster.host
    return disk.damaged('seen').length > 0 || disk.damaged('medium').length > 0
  }

  #soon(run: () => void): void {
    const { time, random } = this.#cluster.host
    time.after(random.fraction() * 300, () => {
      if (this.#cluster.hasPower) run()
      else this.#soon(run)
    })
  }

  #decide(): void {
    if (!this.#watch.isAccepting && this.#cluster.host.random.chance(0.5)) this.#putBack()
    else this.#acceptLoss()
  }

  /** From the archive, where it has the segment, or from wherever a good copy is. */
  #putBack(): void {
    this.#faults.forget()
    const { disk, archive } = this.#cluster.host
    for (const name of new Set([...disk.damaged('seen'), ...disk.damaged('medium')])) {
      const copies = [...(archive?.objects ?? [])].filter(([object]) => object.endsWith(`/${name}.zst`))
      const bytes = copies.at(-1)?.[1]
      const isSame = bytes?.equals(disk.copyOf(name, 'flawless').bytes()) === true
      if (bytes !== undefined && isSame) disk.replace(name, bytes)
      else disk.repair(name)
      this.#count(isSame ? 'putBackFromArchive' : 'putBack')
    }
    this.#watch.keepsAll()
    this.#goOn()
  }

  #goOn(): void {
    this.#isBusy = false
    this.#cluster.release()
  }

  /** As `start --accept-loss` does, once or, when it is interrupted, until it has done it. */
  #acceptLoss(): void {
    const { host } = this.#cluster
    const process = host.start('loss-operator')
    host.lendDisk(process)
    if (host.random.chance(0.3)) process.killAfterSteps(host.random.integer(0, 12))
    this.#watch.recovering()
    this.#watch.acceptsLoss()
    let isOver = false
    this.#giveUp(process).then(
      (done) => {
        isOver = done
      },
      (error: unknown) => {
        if (process.isAlive && !(error instanceof ProcessKilled)) isOver = this.#failed(error)
      },
    )
    host.time.after(patienceMs, () => {
      process.kill('done')
      if (isOver) return
      this.#count('interrupted')
      this.#soon(() => this.#acceptLoss())
    })
  }

  /** @returns whether the operator need not try again */
  #failed(error: unknown): boolean {
    if (!isCommanderError(error)) {
      this.#violate(`the operator: ${error instanceof Error ? error.stack : String(error)}`)
      return true
    }
    this.#cluster.host.trace.note(this.#cluster.host.time.nowMs, 'loss-operator', `${error.code} ${error.message}`)
    if (error.code === 'journal_failed' || error.code === 'journal_full') return false
    if (error.code !== 'journal_corrupt') this.#violate(`the operator cannot accept a loss: ${error.message}`)
    // What would be left cannot be gone on from.
    this.#count('lossRefused')
    this.#putBack()
    return true
  }

  async #giveUp(process: SimulatedProcess): Promise<boolean> {
    const { host, journalOptions } = this.#cluster
    const store = host.store.now()
    const newest = newestTimeline(host.disk)
    const isGoingOn = readGivingUp(host.disk) !== null
    const loss = await acceptLoss({
      storage: host.disk,
      environment: process.environment,
      journalId: simulatedJournalId,
      options: journalOptions,
      root: readRoot(store, { lookup: () => undefined, keepsPayloads: false }).lsn,
      applied: readPosition(store).applied,
      archived: rememberedAsArchived(store, host.disk),
      claim: async (wanted) => wanted,
      appliedFrame: readAppliedFrame(store),
      keep: ({ storeIsAhead }) => {
        if (storeIsAhead) host.setStoreAside()
      },
    })
    if (!process.takeStep()) return false
    this.#count(loss === null ? 'nothingToGiveUp' : loss.lost === null ? 'gaveUpOlder' : 'gaveUp')
    if (isGoingOn) this.#count('endedWhatWasBegun')
    if (loss !== null) this.#checkRecord(loss, newest, isGoingOn)
    if (loss?.storeIsAhead === true) this.#count('storeSetAside')
    this.#goOn()
    return true
  }

  /** The record says what is there now, and where the rest is. */
  #checkRecord({ endLsn, lost, keptAside, timeline, parent }: Loss, newest: number, isGoingOn: boolean): void {
    const names = this.#cluster.host.disk.list()
    for (const { name } of keptAside)
      if (!names.includes(name)) this.#violate(`M4: ${name} is said to be kept aside and is not there`)
    const isNew = timeline === newest + 1 || (isGoingOn && timeline === newest)
    if (lost !== null && (lost.fromLsn !== endLsn + 1 || !isNew || parent > newest))
      this.#violate(`M4: given up from ${lost.fromLsn} on timeline ${timeline}, where ${endLsn} is left of ${parent}`)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
