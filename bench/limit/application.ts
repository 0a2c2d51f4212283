import { follow, standBy } from './follow.ts'
import { Gatherer, headerBytes, kindAt, kinds, numberAt } from './frame.ts'
import { type Completed, packr, type Received, type Started } from './messages.ts'

const commands = new Map<number, Received>()
const states = new Map<string, { revision: number; balance: number }>()

const out = new Gatherer((batch) => socket.write(batch))
const socket = await follow(process.argv[2] as string, false, (buffer, at, length) => {
  const kind = kindAt(buffer, at)
  if (kind !== kinds.received && kind !== kinds.started) return
  const message: unknown = packr.unpack(buffer.subarray(at + headerBytes, at + length))
  if (kind === kinds.received) commands.set(numberAt(buffer, at), message as Received)
  else for (const lsn of (message as Started).lsns) complete(lsn)
})
standBy()

function complete(lsn: number): void {
  const command = commands.get(lsn)
  if (command === undefined) throw new Error(`${lsn} was started and never received`)
  commands.delete(lsn)
  const { id, aggregate, data } = command
  const state = states.get(aggregate) ?? { revision: 0, balance: 0 }
  state.revision++
  state.balance += data.amount
  states.set(aggregate, state)
  const event = { type: 'deposited', data: { amount: data.amount }, balance: state.balance }
  const { revision } = state
  const entry: Completed = { type: 'command/completed', lsn, id, aggregate, revision, events: [event] }
  out.add(kinds.completed, packr.pack(entry))
}
