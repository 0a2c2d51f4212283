import type { Entry } from '../../../src/actions/action.ts'
import { decodeEntry } from '../../../src/actions/decode.ts'
import { lengthOf, padded } from '../../../src/actions/entry-layout.ts'
import type { Database } from '../../../src/client/options.ts'
import { asCommanderError, type ErrorCode, messageOf } from '../../../src/kernel/errors.ts'
import { emptyRoot, reduce } from '../../../src/state/root.ts'
import { stateHash } from '../../../src/state/snapshot.ts'
import type { ScriptedStream } from './scripted-stream.ts'
import type { StandbyNode } from './standby-node.ts'
import { TwoNodes } from './two-nodes.ts'

const clients = 4
const depositsEach = 12
const orders = 6
const readers = 2
const faults = 8
const accounts = 3
const retryMs = 20
/** What a client may be told when its node does not lead, or stops doing so, or dies. */
const tolerable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'not_leader',
  'indeterminate',
  'not_ready',
  'timeout',
  'connection_lost',
  'overloaded',
])

interface Deposit {
  readonly account: string
  readonly amount: number
  readonly mark: string
  /** The command, once it was acknowledged. */
  command: string | null
}

export interface StandbyResult {
  readonly seed: number
  /** What is wrong; nothing, if all is well. */
  readonly violations: readonly string[]
  readonly traceHash: string
  readonly events: number
  readonly epochs: number
  /** Linearizable reads that were answered, by the node that leads and by the other one. */
  readonly reads: { readonly leading: number; readonly following: number }
}

export interface StandbyOptions {
  /** Gets everything that happens. */
  readonly print?: ((line: string) => void) | null
  /** A mistake: who is asked whether he leads says so without asking anybody. */
  readonly isUnconfirmed?: boolean
}

/**
 * Clients deposit on two nodes, wherever one of them leads, each deposit until it is acknowledged, under a key; meanwhile nodes
 * lose their power, processes die, and the lead changes. Everything follows from the seed.
 *
 * Readers read on both nodes meanwhile: each linearizable read sees every deposit that was acknowledged before it began.
 */
export async function simulateStandby(
  seed: number,
  { print = null, isUnconfirmed = false }: StandbyOptions = {},
): Promise<StandbyResult> {
  const db = await TwoNodes.started({ seed, print })
  db.stream.commitMs = db.random.pick([0.5, 2, 20])
  db.stream.unawareMs = db.random.pick([0, 20, 200])
  db.stream.confirms = !isUnconfirmed
  const reads = { leading: 0, following: 0 }
  const deposits: Deposit[] = []
  const wrong: string[] = []
  try {
    const running = [
      ...Array.from({ length: clients }, (_, at) => runClient(db, at, deposits, wrong)),
      ...Array.from({ length: orders }, (_, at) => runOrder(db, at, wrong)),
    ]
    let areDone = false
    const reading = Array.from({ length: readers }, () => runReader(db, deposits, reads, wrong, () => areDone))
    Promise.all(running).then(
      () => {
        areDone = true
      },
      (error: unknown) => wrong.push(String(error)),
    )
    for (let fault = 0; fault < faults && !areDone; fault++) {
      await db.pass(db.random.integer(1, 80))
      await disturb(db, wrong)
      checkStores(db, wrong)
    }
    await haveLeader(db)
    await db.until(() => areDone || wrong.length > 0)
    areDone = true
    await db.call(Promise.all(reading))
    await db.agree()
    await checkDeposits(db, deposits, wrong)
    await checkOrders(db, wrong)
    checkLog(db, wrong)
  } catch (error) {
    wrong.push(messageOf(error))
  } finally {
    db.close()
  }
  const { traceHash, time, stream } = db
  return { seed, violations: wrong, traceHash, events: time.events, epochs: stream.epoch, reads }
}

async function runClient(db: TwoNodes, client: number, deposits: Deposit[], wrong: string[]): Promise<void> {
  for (let i = 0; i < depositsEach; i++) {
    const amount = db.random.integer(1, 9)
    const deposit: Deposit = { account: `${(client + i) % accounts}`, amount, mark: `${client}-${i}`, command: null }
    deposits.push(deposit)
    while (deposit.command === null) {
      await attempt(db, deposit, wrong)
      await new Promise<void>((resolve) => void db.time.after(db.random.integer(0, retryMs), resolve))
    }
  }
}

async function attempt(db: TwoNodes, deposit: Deposit, wrong: string[]): Promise<void> {
  const { account, amount, mark } = deposit
  const client: Database = db.random.pick([db.a, db.b]).client
  try {
    const options = { idempotencyKey: mark, timeoutMs: 400 }
    const outcome = await client.execute('account', account, 'deposit', { amount, mark }, options)
    if (outcome.outcome === 'completed') deposit.command = outcome.id
    else wrong.push(`${mark} ended as ${outcome.outcome}`)
  } catch (error) {
    const { code, message } = asCommanderError(error)
    if (!tolerable.has(code)) wrong.push(`${mark}: ${code}: ${message}`)
  }
}

/** Reads until the deposits are made: none that was acknowledged before may be missing. */
async function runReader(
  db: TwoNodes,
  deposits: readonly Deposit[],
  reads: { leading: number; following: number },
  wrong: string[],
  isOver: () => boolean,
): Promise<void> {
  while (!isOver() && wrong.length === 0) {
    await new Promise<void>((resolve) => void db.time.after(db.random.integer(0, retryMs), resolve))
    const account = `${db.random.integer(0, accounts - 1)}`
    const known = deposits.filter((deposit) => deposit.account === account && deposit.command !== null)
    const node = db.random.pick([db.a, db.b])
    const { leads } = node
    try {
      const { state } = await node.client.read('account', account, { consistency: 'linearizable' })
      reads[leads ? 'leading' : 'following']++
      const { deposits: seen } = state as { deposits: number }
      if (seen < known.length)
        wrong.push(
          `a linearizable read on ${node.id} sees ${seen} deposits, and ${known.length} were acknowledged before`,
        )
    } catch (error) {
      const { code, message } = asCommanderError(error)
      if (!tolerable.has(code)) wrong.push(`a linearizable read on ${node.id}: ${code}: ${message}`)
    }
  }
}

/** A workflow from its start to its end, asked for as often as it takes. */
async function runOrder(db: TwoNodes, order: number, wrong: string[]): Promise<void> {
  const input = { amount: order + 1, restMs: db.random.integer(1, 60) }
  const ask = async (what: (node: StandbyNode) => Promise<unknown>): Promise<unknown> => {
    for (;;) {
      await new Promise<void>((resolve) => void db.time.after(db.random.integer(0, retryMs), resolve))
      try {
        return await what(db.random.pick([db.a, db.b]))
      } catch (error) {
        const { code, message } = asCommanderError(error)
        if (!tolerable.has(code) && code !== 'workflow_unknown') wrong.push(`order ${order}: ${code}: ${message}`)
      }
    }
  }
  await ask(({ client }) => client.workflow('order').start(`${order}`, input))
  const result = await ask(({ client }) => client.workflow('order').result(`${order}`, { timeoutMs: 400 }))
  const expected = JSON.stringify({ receipt: `receipt ${input.amount}`, outcome: 'completed' })
  if (JSON.stringify(result) !== expected) wrong.push(`order ${order} ended with ${JSON.stringify(result)}`)
}

async function disturb(db: TwoNodes, wrong: string[]): Promise<void> {
  const { random } = db
  const isLeading = (node: StandbyNode): boolean => node.leads && !node.isUnaware
  const leader = isLeading(db.a) ? db.a : isLeading(db.b) ? db.b : null
  const other = leader === db.a ? db.b : db.a
  switch (random.integer(0, 7)) {
    case 0:
    case 4:
      await lead(db, other)
      return
    case 1:
      leader?.losePower()
      await lead(db, other)
      return
    case 2:
      other.losePower()
      return
    case 5:
      await contest(db, other, other === db.a ? db.b : db.a, wrong)
      return
    case 3:
      leader?.losePower()
      other.losePower()
      await lead(db, random.pick([db.a, db.b]))
      return
    default: {
      const roles = ['journal-writer', 'dispatcher', 'projection-applier', 'gateway', 'application'] as const
      random.pick([db.a, db.b]).crash(random.pick(roles))
      if (random.chance(0.5)) await db.pass(random.integer(1, 30))
      await haveLeader(db)
    }
  }
}

/** One is elected, and another one before it leads. */
async function contest(db: TwoNodes, first: StandbyNode, second: StandbyNode, wrong: string[]): Promise<void> {
  await db.aware()
  await db.until(() => first.writer !== null && !first.leads && second.writer !== null)
  first.lead().catch((error: unknown) => wrong.push(messageOf(error)))
  if (db.random.chance(0.5)) await db.pass(db.random.fraction())
  await db.until(() => !second.isUnaware && second.writer !== null)
  if (second.leads) await db.until(() => !second.leads && second.writer !== null)
  await db.lead(second)
}

async function haveLeader(db: TwoNodes): Promise<void> {
  await db.aware()
  if (!db.a.leads && !db.b.leads) await lead(db, db.random.pick([db.a, db.b]))
}

async function lead(db: TwoNodes, node: StandbyNode): Promise<void> {
  await db.aware()
  // It may lead already, under the same process: then the other one has to.
  const next = node.leads ? (node === db.a ? db.b : db.a) : node
  await db.until(() => next.writer !== null)
  await db.lead(next)
}

/** Only what is committed reaches a store. */
function checkStores({ a, b, stream }: TwoNodes, wrong: string[]): void {
  for (const { id, applied } of [a, b])
    if (applied > stream.tail) wrong.push(`the store of ${id} has applied ${applied}, and ${stream.tail} is committed`)
}

async function checkDeposits(db: TwoNodes, deposits: readonly Deposit[], wrong: string[]): Promise<void> {
  for (const node of [db.a, db.b]) {
    for (let account = 0; account < accounts; account++) {
      const made = deposits.filter((deposit) => deposit.account === `${account}`)
      const sum = made.reduce((total, { amount }) => total + amount, 0)
      const state = JSON.stringify(await db.accountOf(node, `${account}`, db.stream.tail))
      const expected = JSON.stringify({ balance: sum, deposits: made.length })
      if (state !== expected) wrong.push(`account ${account} on ${node.id} is ${state}, not ${expected}`)
    }
  }
}

/** However often requests were carried out, under one key each; and what comes after them happened once. */
async function checkOrders(db: TwoNodes, wrong: string[]): Promise<void> {
  const sum = (orders * (orders + 1)) / 2
  const charged = [...db.payments.charges.values()].reduce((total, amount) => total + amount, 0)
  if (charged !== sum) wrong.push(`the orders were charged ${charged}, not ${sum}`)
  for (const node of [db.a, db.b]) {
    const state = JSON.stringify(await db.accountOf(node, 'shop', db.stream.tail))
    const expected = JSON.stringify({ balance: sum, deposits: orders })
    if (state !== expected) wrong.push(`the shop has ${state} on ${node.id}, not ${expected}`)
  }
}

/** The stream itself, read by nobody's code but the decoder, and folded once more. */
function checkLog({ a, b, stream }: TwoNodes, wrong: string[]): void {
  const state = emptyRoot({ lookup: () => undefined, keepsPayloads: false })
  const marks = new Map<string, number>()
  const ended = new Set<number>()
  let epoch = 0
  for (const { entry, payload, offset } of entriesOf(stream)) {
    reduce(state, payload, offset)
    const { action, lsn } = entry
    if (action.type === 'journal/epoch-started') {
      if (action.epoch <= epoch) wrong.push(`epoch ${action.epoch} at ${lsn} comes after ${epoch}`)
      epoch = action.epoch
    }
    if (action.type !== 'command/completed') continue
    if (ended.has(action.command)) wrong.push(`command ${action.command} ends again at ${lsn}`)
    ended.add(action.command)
    if (action.aggregate.type !== 'account') continue
    for (const { data } of action.events) {
      const { mark } = data as { mark: string }
      if (mark.startsWith('receipt')) continue
      marks.set(mark, (marks.get(mark) ?? 0) + 1)
    }
  }
  for (const [mark, count] of marks) if (count !== 1) wrong.push(`${mark} was deposited ${count} times`)
  const folded = `${state.lsn} ${stateHash(state)}`
  for (const node of [a, b])
    if (node.hashOf('dispatcher') !== folded) wrong.push(`${node.id} holds ${node.hashOf('dispatcher')}, not ${folded}`)
}

function* entriesOf({ log }: ScriptedStream): Generator<{
  readonly entry: Entry
  readonly payload: Buffer
  readonly offset: number
}> {
  for (const { payload } of log)
    for (let offset = 0; offset < payload.length; offset += padded(lengthOf(payload, offset)))
      yield { entry: decodeEntry(payload, offset), payload, offset }
}
