import { connect } from '../src/client.ts'
import { ClosedLoop } from './closed-loop.ts'
import { drive } from './drive.ts'
import { type LoadOrder, warmupConcurrency } from './load-protocol.ts'
import { deposit } from './workload.ts'

/** A program: one client of a real database, in its own process. Started by load.ts. */
const order = JSON.parse(process.argv[2] ?? '') as LoadOrder
const db = await connect({ dataDir: order.dataDir })
const ids = Array.from({ length: order.accounts }, (_, n) => String(n + 1))
const answeredBySlot: (() => void)[] = []
let sent = 0

const loop = new ClosedLoop(Math.max(order.concurrency, warmupConcurrency), (slot) => {
  const id = ids[sent++ % ids.length] as string
  db.execute('account', id, 'deposit', deposit).then(answered(slot), fail)
})

/** One closure a slot, not one a command. */
function answered(slot: number): () => void {
  answeredBySlot[slot] ??= () => loop.answered(slot)
  return answeredBySlot[slot]
}

function fail(error: unknown): never {
  console.error(error)
  process.exit(1)
}

await drive(order, loop)
