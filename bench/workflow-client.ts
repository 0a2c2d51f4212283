import { connect } from '../src/client.ts'
import { ClosedLoop } from './closed-loop.ts'
import { drive } from './drive.ts'
import { type LoadOrder, warmupConcurrency } from './load-protocol.ts'

/** A program: one client that starts workflows of three requests, each when the one before has ended. Started by load.ts. */
const order = JSON.parse(process.argv[2] ?? '') as LoadOrder
const db = await connect({ dataDir: order.dataDir })
const workflow = db.workflow('three-requests')
// Ids of several clients, one after the other, must differ.
const prefix = `${process.pid}-${Date.now().toString(36)}`
const answeredBySlot: (() => void)[] = []
let started = 0

const loop = new ClosedLoop(Math.max(order.concurrency, warmupConcurrency), (slot) => {
  const n = ++started
  workflow.execute(`${prefix}-${n}`, { n }).then(answered(slot), fail)
})

/** One closure a slot, not one a workflow. */
function answered(slot: number): () => void {
  answeredBySlot[slot] ??= () => loop.answered(slot)
  return answeredBySlot[slot]
}

function fail(error: unknown): never {
  console.error(error)
  process.exit(1)
}

await drive(order, loop)
