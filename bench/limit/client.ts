import { ClosedLoop } from '../closed-loop.ts'
import { drive } from '../drive.ts'
import { type LoadOrder, warmupConcurrency } from '../load-protocol.ts'
import { deposit } from '../workload.ts'
import { follow } from './follow.ts'
import { Gatherer, headerBytes, kindAt, kinds, numberAt } from './frame.ts'
import { type Completed, packr, type Received } from './messages.ts'

/** A program: the client of the limit, in its own process, as load-client.ts is of the database. */
const order = JSON.parse(process.argv[2] ?? '') as LoadOrder
const slots = Math.max(order.concurrency, warmupConcurrency)
/** LSN and slot by turns, of what is completed and not flushed yet. */
let unflushed: number[] = []
let sent = 0

const loop = new ClosedLoop(slots, (slot) => {
  const aggregate = `account-${sent % order.accounts}`
  const id = sent++ * slots + slot
  const command: Received = {
    type: 'command/received',
    id,
    aggregate,
    command: 'deposit',
    at: Date.now(),
    data: deposit,
  }
  out.add(kinds.received, packr.pack(command))
})

const out = new Gatherer((batch) => socket.write(batch))
const socket = await follow(order.dataDir, true, (buffer, at, length) => {
  const kind = kindAt(buffer, at)
  if (kind === kinds.completed) {
    const { id } = packr.unpack(buffer.subarray(at + headerBytes, at + length)) as Completed
    unflushed.push(numberAt(buffer, at), id % slots)
  } else if (kind === kinds.flushed) answer(numberAt(buffer, at))
})
await drive(order, loop)

function answer(flushedLsn: number): void {
  let answered = 0
  for (; answered < unflushed.length && (unflushed[answered] as number) <= flushedLsn; answered += 2) {
    loop.answered(unflushed[answered + 1] as number)
  }
  if (answered > 0) unflushed = unflushed.slice(answered)
}
