import { follow, standBy } from './follow.ts'
import { Gatherer, headerBytes, kindAt, kinds, numberAt } from './frame.ts'
import { type Completed, packr, type Received, type Started } from './messages.ts'

const queues = new Map<string, number[]>()
let started: number[] = []
let isDue = false

const out = new Gatherer((batch) => socket.write(batch))
const socket = await follow(process.argv[2] as string, false, (buffer, at, length) => {
  const kind = kindAt(buffer, at)
  if (kind === kinds.received) {
    const { aggregate } = packr.unpack(buffer.subarray(at + headerBytes, at + length)) as Received
    enqueue(aggregate, numberAt(buffer, at))
  } else if (kind === kinds.completed) {
    const { aggregate } = packr.unpack(buffer.subarray(at + headerBytes, at + length)) as Completed
    dequeue(aggregate)
  }
})
standBy()

function enqueue(aggregate: string, lsn: number): void {
  const queue = queues.get(aggregate)
  if (queue === undefined) queues.set(aggregate, [lsn])
  else queue.push(lsn)
  started.push(lsn)
  if (isDue) return
  isDue = true
  setImmediate(start)
}

function dequeue(aggregate: string): void {
  const queue = queues.get(aggregate)
  queue?.shift()
  if (queue?.length === 0) queues.delete(aggregate)
}

/** One entry for all that came in this turn. */
function start(): void {
  isDue = false
  const entry: Started = { type: 'command/started', application: 1, lsns: started }
  started = []
  out.add(kinds.started, packr.pack(entry))
}
