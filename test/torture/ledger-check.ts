import type { ClientEvent, ClientOutcome, Database } from '../../src/client.ts'
import type { Answer } from './ledger-load.ts'
import { movementOf } from './movements.ts'

export interface Findings {
  acknowledged: number
  /** Acknowledged, and not there. */
  lost: number
  /** There more than once. */
  duplicated: number
  /** Everything else that must not be, in words. */
  readonly violations: string[]
}

interface Sum {
  sum: number
  movements: number
}

type Completed = Extract<ClientOutcome, { outcome: 'completed' }>

const violationsMax = 50
const repeatedKeys = 100

/**
 * Reads what the database says while nobody calls it, and holds it against what callers were told:
 *
 * - every acknowledged movement is there, with the position, revision and LSN that its outcome said
 * - none is there twice, and none that was never made or was rejected
 * - positions and revisions have no gaps, LSNs rise
 * - states, streams and the projection are the sums of the events
 */
export class LedgerCheck {
  readonly findings: Findings = { acknowledged: 0, lost: 0, duplicated: 0, violations: [] }
  readonly #seed: number
  #position = 0
  #lsn = 0
  readonly #sums = new Map<string, Sum>()
  /** By number of the movement: the position of its event. */
  readonly #seen = new Map<number, number>()
  #repeatable: Answer[] = []

  constructor(seed: number) {
    this.#seed = seed
  }

  /** What is new since the last time; `sent`: movements with a lower number were made. */
  async look(client: Database, answers: readonly Answer[], sent: number): Promise<void> {
    await this.#settled(client, answers)
    const fresh = new Map<number, ClientEvent>()
    for await (const batch of client.eventBatches({ after: this.#position })) {
      for (const event of batch) {
        this.#takeEvent(event, sent)
        fresh.set((event.data as { n: number }).n, event)
      }
    }
    for (const answer of answers) this.#takeAnswer(answer, fresh)
    this.#repeatable = [...this.#repeatable, ...answers.filter(isRepeatable)].slice(-repeatedKeys)
    await this.#checkSums(client)
  }

  /** Everything again from the first event on, the streams as well, and the newest keys once more. */
  async lookAtAll(client: Database): Promise<void> {
    const again = new LedgerCheck(this.#seed)
    await again.look(client, [], Number.MAX_SAFE_INTEGER)
    this.#note(again.findings.violations)
    if (again.#position !== this.#position)
      this.#note([`read again there are ${again.#position} events, not ${this.#position}`])
    for (const [n, position] of this.#seen)
      if (again.#seen.get(n) !== position) this.#note([`movement ${n} has left position ${position}`])
    for (const [account, { movements }] of this.#sums) {
      const { events } = await client.stream('ledger', account)
      const wrong = events.findIndex(({ revision }, i) => revision !== i + 1)
      if (wrong >= 0 || (events.length !== movements && events.length < 10_000))
        this.#note([`the stream ${account} has ${events.length} events, not ${movements}, or a gap at ${wrong}`])
    }
    await this.#repeatKeys(client)
  }

  /** Reads show all that was answered; what nobody waited for may still be under way. */
  async #settled(client: Database, answers: readonly Answer[]): Promise<void> {
    while ((await client.commands('pending')).length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const lsn = Math.max(this.#lsn, ...answers.map(({ outcome }) => outcome.lsn))
    await client.read('ledger', 'account-0', { minLsn: lsn })
    for (const { movement, outcome } of answers) {
      if (outcome.outcome !== 'received') continue
      // Its outcome is asked for by its number, so that "received" is held to mean "will be done".
      const view = await client.command(outcome.id, { waitMs: 10_000 })
      const expected = movement.isRefused ? 'rejected' : 'completed'
      if (view.status !== expected) this.#note([`movement ${movement.n} was received and is ${view.status}`])
      await client.read('ledger', movement.account, { minLsn: view.endLsn ?? 0 })
    }
  }

  #takeEvent({ globalPosition, aggregate, revision, lsn, type, data }: ClientEvent, sent: number): void {
    const { n, amount } = data as { n: number; amount: number }
    const where = `movement ${n} at position ${globalPosition}`
    const expected = movementOf(this.#seed, n)
    const sum = this.#sums.get(aggregate.id) ?? { sum: 0, movements: 0 }
    if (globalPosition !== this.#position + 1) this.#note([`${where} follows position ${this.#position}`])
    if (lsn <= this.#lsn) this.#note([`${where} has LSN ${lsn} behind ${this.#lsn}`])
    if (revision !== sum.movements + 1) this.#note([`${where} has revision ${revision} behind ${sum.movements}`])
    if (n >= sent || expected.isRefused) this.#note([`${where} was never made, or must be rejected`])
    if (type !== 'moved' || expected.account !== aggregate.id || expected.amount !== amount)
      this.#note([`${where} is not what was sent: ${aggregate.id} ${amount}`])
    const before = this.#seen.get(n)
    if (before !== undefined) {
      this.findings.duplicated++
      this.#note([`${where} is at position ${before} already`])
    }
    this.#seen.set(n, globalPosition)
    this.#position = globalPosition
    this.#lsn = lsn
    this.#sums.set(aggregate.id, { sum: sum.sum + amount, movements: sum.movements + 1 })
  }

  #takeAnswer({ movement, outcome }: Answer, fresh: ReadonlyMap<number, ClientEvent>): void {
    const { n, isRefused } = movement
    this.findings.acknowledged++
    if (isRefused) {
      const isRight = outcome.outcome === 'rejected' || outcome.outcome === 'received'
      if (!isRight) this.#note([`movement ${n} must be rejected, and is ${outcome.outcome}`])
      return
    }
    const event = fresh.get(n)
    if (event === undefined) {
      this.findings.lost++
      this.#note([`movement ${n} was answered ${JSON.stringify(outcome)} and is not there`])
      return
    }
    if (outcome.outcome === 'received') return
    const told = outcome.outcome === 'completed' ? outcome.events : []
    if (told.length !== 1 || JSON.stringify(told[0]) !== JSON.stringify(event))
      this.#note([`movement ${n} was answered ${JSON.stringify(outcome)}, and is ${JSON.stringify(event)}`])
  }

  async #checkSums(client: Database): Promise<void> {
    await Promise.all(
      [...this.#sums].map(async ([account, { sum, movements }]) => {
        const { revision, state } = await client.read('ledger', account)
        const { value } = await client.projection('sums', account)
        const found = [revision, (state as Sum).sum, (value as Sum).sum, (value as Sum).movements]
        if (JSON.stringify(found) !== JSON.stringify([movements, sum, sum, movements]))
          this.#note([`${account} says ${JSON.stringify(found)} where the events make ${movements} and ${sum}`])
      }),
    )
  }

  /** The same keys again: nothing happens, and the answer is that of the first time. */
  async #repeatKeys(client: Database): Promise<void> {
    for (const { movement, outcome } of this.#repeatable) {
      const { account, n, amount, idempotencyKey } = movement
      const again = await client.execute(
        'ledger',
        account,
        'move',
        { n, amount },
        { idempotencyKey: idempotencyKey ?? '' },
      )
      const isSame =
        again.outcome === 'completed' &&
        again.duplicate &&
        JSON.stringify(again.events) === JSON.stringify((outcome as Completed).events)
      if (!isSame) this.#note([`the key of movement ${n} gives ${JSON.stringify(again)} the second time`])
    }
    for await (const batch of client.eventBatches({ after: this.#position })) {
      this.findings.duplicated += batch.length
      this.#note([`${batch.length} events more after keys were used again`])
    }
  }

  #note(violations: readonly string[]): void {
    this.findings.violations.push(...violations.slice(0, violationsMax - this.findings.violations.length))
  }
}

const isRepeatable = ({ movement, outcome }: Answer): boolean =>
  movement.idempotencyKey !== null && !movement.isRefused && outcome.outcome === 'completed'
